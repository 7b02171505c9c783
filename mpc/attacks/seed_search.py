"""Reading the other party's secrets out of one honest transcript by searching the seed of torch's generator.

Setting: mode ``crypten``, any one query, a party that follows the protocol.  The first thing the parties open
is the input minus a mask, and the first layer's weights minus a mask.  The masks come from ``torch.Generator``,
a Mersenne Twister MT19937 whose seeding keeps only the low 32 bits of the seed (Matsumoto and Nishimura 1998;
torch ``MT19937RNGEngine.h``), however many were drawn.  So:

    Bob holds x_1, Alice's opened x_0 − a_0 and his own a_1; x = (x_0 − a_0) + x_1 + a_0, and x is small.
    A seed is right when the a_0 it gives makes every x small.  One word settles it but for a few strangers in 2^32,
    and the other words settle those.

Alice does the same to Bob with the weights of his first layer.  Everything used is in the party's own
transcript.  The work is 2^32 seedings of 400 words at most: minutes on one core.  A longer seed would not
repair it, because 624 outputs of MT19937 determine all others; masks must come from a cryptographic generator,
which stock CrypTen does not use.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt
import torch

from sotto.mpc.attacks.parties import Message, Party, Run
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.errors import MpcError
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.graph.layers import Shape

SEED_BITS = 32
_LANES = 4096
_CHUNK = 1 << 22
_MIDDLE, _REACH = 397, 227  # MT19937: word k of the first block needs words k, k + 1 and k + 397 of the seeded state


@dataclass(frozen=True)
class Recovered:
    """What the attacker read: ``values`` in clear, float32; how many seeds were tried, and how long it took."""

    values: npt.NDArray[np.float32]
    seeds_tried: int
    seconds: float


def recover_features(
    run: Run, features_shape: Shape, *, largest: float = 128.0, seeds: range = range(1 << SEED_BITS)
) -> Recovered | None:
    """Bob reads Alice's features, shape (n, *input_shape), out of his transcript of the first query of ``run``.

    ``seeds`` is the part of the seed space to search; None when the seed is not in it.
    """
    count = int(np.prod(features_shape))
    own, other, own_seed = _first_opening(run, "bob")
    own_mask = _masks(own_seed, count)
    masked = other[:count] + own[:count] + own_mask
    found = search_seed(masked, first=0, largest=largest, seeds=seeds)
    return None if found is None else _unmasked(masked, 0, *found, features_shape)


def recover_weights(
    run: Run,
    features_shape: Shape,
    weight_shape: Shape,
    *,
    largest: float = 128.0,
    seeds: range = range(1 << SEED_BITS),
) -> Recovered | None:
    """Alice reads the weights of Bob's first layer out of her transcript of the first query of ``run``.

    Works while the query's features, shape (n, *input_shape), have at most 113 elements: the weights' masks are drawn
    after the features', and the search covers the first block of the generator only.
    """
    before, count = int(np.prod(features_shape)), int(np.prod(weight_shape))
    own, other, own_seed = _first_opening(run, "alice")
    own_mask = _masks(own_seed, before + count)[before:]
    masked = other[before : before + count] + own[before : before + count] + own_mask
    found = search_seed(masked, first=before, largest=largest, seeds=seeds)
    return None if found is None else _unmasked(masked, before, *found, weight_shape)


def search_seed(
    masked: npt.NDArray[np.uint64],
    *,
    first: int,
    largest: float,
    seeds: range = range(1 << SEED_BITS),
    progress: Callable[[int], None] | None = None,
) -> tuple[int, int, float] | None:
    """The seed, seeds tried and seconds, or None: the seed whose outputs from word ``first`` on unmask every value.

    ``masked`` (k,) uint64 holds fixed-point values minus masks.  A value unmasked is within ±``largest``.
    """
    if 2 * first >= _REACH:
        raise MpcError(
            "out-of-reach", f"the search covers masks up to the {_REACH // 2}th; this one is number {first}: send less"
        )
    limit = int(largest * 2**FRACTION_BITS)
    start = time.perf_counter()
    for low in range(seeds.start, seeds.stop, _CHUNK):
        high = min(low + _CHUNK, seeds.stop)
        for candidate in _candidates(low, high, np.uint32(int(masked[0]) >> 32), 2 * first):
            values = (masked + _masks(int(candidate), first + len(masked))[first:]).astype(np.int64)
            if (np.abs(values) <= limit).all():
                return int(candidate), int(candidate) - seeds.start + 1, time.perf_counter() - start
        if progress:
            progress(high - low)
    return None


def _unmasked(
    masked: npt.NDArray[np.uint64], first: int, seed: int, tried: int, seconds: float, shape: Shape
) -> Recovered:
    words = (masked + _masks(seed, first + len(masked))[first:]).astype(np.int64)
    return Recovered((words / 2**FRACTION_BITS).astype(np.float32).reshape(shape), tried, seconds)


def _first_opening(run: Run, attacker: Party) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64], int]:
    """What the attacker sent and received in the first opening, as words, and the seed the dealer gave it."""
    transcript = run.transcripts[attacker]
    opening = [message for message in transcript["peer"] if message[1] == "crypten.all_reduce"]
    seeds = [payload for way, name, payload in transcript["dealer"] if (way, name) == ("received", "dealer.seed")]
    if len(opening) < 2 or not seeds:
        raise MpcError("no-transcript", "the run has no transcript of a query: record it")
    return _payload(opening, "sent"), _payload(opening, "received"), int.from_bytes(seeds[0], "little", signed=True)


def _payload(messages: Sequence[Message], wanted: str) -> npt.NDArray[np.uint64]:
    return np.frombuffer(next(payload for way, _, payload in messages if way == wanted), "<u8")


def _masks(seed: int, count: int) -> npt.NDArray[np.uint64]:
    """The first ``count`` ring elements that CrypTen draws from a generator seeded with ``seed``, as uint64."""
    generator = torch.Generator().manual_seed(seed)
    ring_elements = load_crypten().common.rng.generate_random_ring_element
    return ring_elements((count,), generator=generator).numpy().view(np.uint64)


def _candidates(low: int, high: int, masked_high: np.uint32, word: int) -> npt.NDArray[np.uint32]:
    """Seeds in [low, high) whose 32-bit output number ``word`` makes the unmasked value's top half all 0 or all 1."""
    found = np.empty(_CHUNK >> 8, np.uint32)
    return found[: _scan(low, high, masked_high, word, found)]


@numba.njit(nogil=True, cache=True)
def _scan(low, high, masked_high, word, found):  # type: ignore[no-untyped-def] # pragma: no cover  # noqa: ANN001, ANN202
    """MT19937 seeding of _LANES seeds at a time, then one tempered output of each; returns how many seeds are left."""
    state = np.empty(_LANES, np.uint32)
    here = np.empty(_LANES, np.uint32)
    after = np.empty(_LANES, np.uint32)
    count = 0
    for base in range(low, high, _LANES):
        for lane in range(_LANES):
            state[lane] = np.uint32(base + lane)
        for step in range(_MIDDLE + word + 1):
            if step:
                for lane in range(_LANES):
                    s = state[lane]
                    state[lane] = np.uint32(1812433253) * (s ^ (s >> np.uint32(30))) + np.uint32(step)
            if step == word:
                here[:] = state
            elif step == word + 1:
                after[:] = state
        for lane in range(min(_LANES, high - base)):
            mixed = (here[lane] & np.uint32(0x80000000)) | (after[lane] & np.uint32(0x7FFFFFFF))
            y = state[lane] ^ (mixed >> np.uint32(1))
            if after[lane] & np.uint32(1):
                y ^= np.uint32(0x9908B0DF)
            y ^= y >> np.uint32(11)
            y ^= (y << np.uint32(7)) & np.uint32(0x9D2C5680)
            y ^= (y << np.uint32(15)) & np.uint32(0xEFC60000)
            y ^= y >> np.uint32(18)
            # top half of masked + (output − 2^63), but for the carry from below; 0, −1 or −2 when the sum is small
            if np.uint32(masked_high + y + np.uint32(0x80000002)) <= np.uint32(2) and count < found.size:
                found[count] = np.uint32(base + lane)
                count += 1
    return count
