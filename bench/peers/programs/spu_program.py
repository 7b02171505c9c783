"""SecretFlow SPU as its users run it: two processes over brpc, protocol SEMI2K or CHEETAH, a network written in JAX.

``python spu_program.py [CHEETAH] FOLDER`` (:mod:`sotto.bench.peers.job`) in an environment of its own that has ``spu``;
this file and the modules beside it need nothing else.  Rank 0 is Alice, rank 1 Bob.  SEMI2K's correlated randomness is
made by rank 0 ("trusted first party"), CHEETAH's by both, inside the query.

Shares travel once more outside SPU's own link, through the pipes between the processes: the model's before the
queries, the features' in the query; Alice's part of that is counted into her bytes.
"""

from __future__ import annotations

import json
import math
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

# These files are found beside this one, which is run by its path.
from two_processes import (  # type: ignore[import-not-found]
    ALICE,
    BOB,
    Report,
    bytes_sent,
    milliseconds_since,
    read_request,
    respond,
    take_queries,
)

_PATIENCE = 120.0  # seconds


def main(folder: Path, protocol: str) -> None:
    """Do what the folder asks and write ``response.json``."""
    ports = [_free_port() for _ in range(2)]
    between = multiprocessing.get_context("spawn").Pipe()
    respond(folder, "SPU", take_part, tuple((ports, between[rank], protocol) for rank in (ALICE, BOB)))


def take_part(rank: int, folder: Path, ports: list[int], other: Connection, protocol: str) -> Report:
    """A party's whole part; ``other`` leads to the other one, besides SPU's own link."""
    return _Party(rank, ports, folder, other, protocol).run()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class _Party:
    """One rank: the model's shares from Bob, then every query; Alice times."""

    def __init__(self, rank: int, ports: list[int], folder: Path, other: Connection, protocol: str) -> None:
        import spu
        from spu import libspu

        self.spu, self.libspu, self.rank, self.other = spu, libspu, rank, other
        self.request = read_request(folder)
        self.plan = json.loads(self.request["network"])
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            shape = (self.request["examples"], *self.request["input_shape"])
            self.queries = arrays["queries"] if rank == ALICE else np.zeros(shape, np.float32)
            self.names = sorted(name for name in arrays.files if name != "queries")
            self.weights = {name: arrays[name] if rank == BOB else np.zeros_like(arrays[name]) for name in self.names}
        kind = getattr(libspu.ProtocolKind, protocol)
        config = libspu.RuntimeConfig(protocol=kind, field=libspu.FieldType.FM64)
        description = libspu.link.Desc()
        description.recv_timeout_ms = 60_000
        for number, port in enumerate(ports):
            description.add_party(f"party{number}", f"127.0.0.1:{port}")
        self.runtime = spu.Runtime(libspu.link.create_brpc(description, rank), config)
        self.io = spu.Io(2, config)
        self.programs: dict[int, Any] = {}
        self.shared = 0

    def run(self) -> Report:
        started = time.perf_counter()
        for name in self.names:
            self._share(f"w{name}", self.weights[name], BOB)
        setup = milliseconds_since(started)
        return take_queries(
            self.request, self._ask, sent=lambda: bytes_sent() + self.shared, ready=self._compiled,
            setup_ms=setup, rounds=None, versions={"spu": self.spu.__version__},
        )  # fmt: skip

    def _ask(self, start: int, stop: int) -> tuple[float, list[int]]:
        """One query: milliseconds from features to classes, and the classes, at Alice."""
        program = self._compiled(stop - start)
        self._meet()
        started = time.perf_counter()
        self._share("x", self.queries[start:stop], ALICE)
        self.runtime.run(program)
        own = self.runtime.get_var("out0")
        if self.rank == BOB:
            self._send(own)
            return 0.0, []
        answer = self.io.reconstruct([own, self._receive()])
        return milliseconds_since(started), [int(label) for label in np.asarray(answer).ravel()]

    def _meet(self) -> None:
        self.other.send_bytes(b".")
        if not self.other.poll(_PATIENCE):
            raise TimeoutError("the other party is late")
        self.other.recv_bytes()

    def _share(self, name: str, values: np.ndarray, owner: int) -> None:
        """Put shares of the owner's values under a name at both parties."""
        if self.rank == owner:
            shares = self.io.make_shares(values, self.libspu.Visibility.VIS_SECRET)
            self._send(shares[1 - owner])
            self.runtime.set_var(name, shares[owner])
        else:
            self.runtime.set_var(name, self._receive())

    def _send(self, share: Any) -> None:
        parts = [share.meta, *share.share_chunks]
        for part in (str(len(parts)).encode(), *parts):
            self.other.send_bytes(part)
            self.shared += len(part)

    def _receive(self) -> Any:
        if not self.other.poll(_PATIENCE):
            raise TimeoutError("the other party's share does not come")
        share = self.libspu.Share()
        count = int(self.other.recv_bytes())
        share.meta = self.other.recv_bytes()
        share.share_chunks = [self.other.recv_bytes() for _ in range(count - 1)]
        return share

    def _compiled(self, examples: int) -> Any:
        """SPU's program for so many examples; compiled once, before it is timed."""
        if examples not in self.programs:
            from spu.utils import frontend

            shape = (examples, *self.request["input_shape"])
            weights = {name: np.zeros(self.weights[name].shape, np.float32) for name in self.names}
            arguments = [np.zeros(shape, np.float32), *weights.values()]
            names = ["x", *(f"w{name}" for name in self.names)]
            layers = self.plan

            def classes(x: Any, *tensors: Any) -> Any:
                import jax.numpy as jnp

                return jnp.argmax(_logits(layers, x, dict(zip(self.names, tensors, strict=True))), axis=1)

            self.programs[examples], _ = frontend.compile(
                frontend.Kind.JAX, classes, arguments, {}, names,
                [self.libspu.Visibility.VIS_SECRET] * len(names),
                lambda found: [f"out{number}" for number in range(len(found))],
            )  # fmt: skip
        return self.programs[examples]


def _convolution(x: Any, layer: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    from jax import lax

    found = lax.conv_general_dilated(
        x, own["weight"], layer["stride"], [(pad, pad) for pad in layer["padding"]], rhs_dilation=layer["dilation"],
        dimension_numbers=("NCH", "OIH", "NCH") if len(layer["kernel"]) == 1 else ("NCHW", "OIHW", "NCHW"),
        feature_group_count=layer["groups"],
    )  # fmt: skip
    return found + own["bias"].reshape(1, -1, *[1] * len(layer["kernel"])) if layer["bias"] else found


def _linear(x: Any, layer: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    found = x @ own["weight"].T
    return found + own["bias"] if layer["bias"] else found


def _affine(x: Any, layer: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    places = (1, -1, *[1] * (x.ndim - 2))
    return x * own["scale"].reshape(places) + own["shift"].reshape(places)


def _relu(x: Any, layer: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    import jax.numpy as jnp

    return jnp.maximum(x, 0)


def _average_pool(x: Any, layer: Mapping[str, Any], own: Mapping[str, Any]) -> Any:
    from jax import lax

    if any(layer["padding"]):
        raise NotImplementedError("average pooling with padding is not written for SPU here")
    window = (1, 1, *layer["kernel"])
    return lax.reduce_window(x, 0.0, lax.add, window, (1, 1, *layer["stride"]), "VALID") / math.prod(layer["kernel"])


_LAYERS: Mapping[str, Callable[[Any, Mapping[str, Any], Mapping[str, Any]], Any]] = {
    "Convolution": _convolution,
    "Linear": _linear,
    "ChannelAffine": _affine,
    "ReLU": _relu,
    "Reshape": lambda x, layer, own: x.reshape(x.shape[0], *layer["shape"]),
    "AveragePool": _average_pool,
    "Mean": lambda x, layer, own: x.mean(axis=tuple(axis + 1 for axis in layer["axes"]), keepdims=layer["keep"]),
}


def _logits(plan: Mapping[str, Any], x: Any, weights: Mapping[str, Any]) -> Any:
    """The layers of a plan (:mod:`sotto.mpc.graph.plan`) in JAX; a chain only, and the kinds that the emotion networks
    have."""
    for number, layer in enumerate(plan["layers"]):
        kind = layer["type"]
        if kind not in _LAYERS or layer["source"] != number:
            raise NotImplementedError(f"a layer of kind {kind} at this place is not written for SPU here")
        own = {name.split(".", 1)[1]: value for name, value in weights.items() if name.split(".", 1)[0] == str(number)}
        x = _LAYERS[kind](x, layer, own)
    return x


if __name__ == "__main__":
    main(Path(sys.argv[-1]), sys.argv[1] if len(sys.argv) > 2 else "SEMI2K")
