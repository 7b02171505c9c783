"""Decoders of :mod:`sotto.link`: what any peer of any paradigm can reach first."""

from __future__ import annotations

import numpy as np

from sotto.link import Array, LinkError, decode, encode, pair
from sotto.link.frames import ERROR_NAME, pack_prefix
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target

_LIMITS = {"query": 4096, "he.keys": 1 << 20}


def frame(name: str, payload: bytes) -> bytes:
    """One message as it stands on the wire."""
    return pack_prefix(name, len(payload)) + payload


def _frames() -> Target:
    """A stream of frames, read until it ends."""
    seeds = [
        frame("query", b"0123456789") + frame("he.keys", bytes(1000)),
        frame(ERROR_NAME, b"the model takes 40 coefficients"),
        frame("query", b""),
        frame("keyed.ready", b"1"),
    ]

    def read(data: bytes) -> None:
        left, right = pair(timeout=5)
        with left, right:
            left._sock.send(data[:100_000])  # what a socket takes at once
            left.close()
            while True:
                right.receive_any(_LIMITS)

    return Target(seeds, read, (LinkError,))


def _arrays() -> Target:
    kinds = ((2, 3), np.float32), ((4,), np.int64), ((0, 88), np.float32), ((), np.float64)
    arrays = [np.zeros(shape, dtype) for shape, dtype in kinds]

    def read(data: bytes) -> None:
        array = decode(data, Array)
        array.numpy(dtype="float32", shape=(None,) * len(array.shape))

    return Target([encode(Array.of(array)) for array in arrays], read, messages=(Array,))


DECODERS: Decoders = {
    "link.frames": Decoder("any peer", _frames),
    "link.array": Decoder("any peer", _arrays),
}
