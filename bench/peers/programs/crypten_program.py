"""Stock CrypTen 0.4.1 as its users run it: two processes, torch.distributed with gloo, its default triple provider.

``python -m sotto.bench.peers.programs.crypten_program FOLDER`` (:mod:`sotto.bench.peers.job`).  Rank 0 is Alice, rank 1
Bob.  The default provider ("trusted first party") makes all correlated randomness at rank 0 and sends the other party's
share inside the query: **whoever is rank 0 can open everything**, so here Bob's model is protected from Alice by her
good will alone.

The network is one of ``crypten.nn`` modules (:mod:`sotto.mpc.crypten.model`), because CrypTen's own converter needs an
ONNX exporter that current PyTorch no longer has.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from sotto.bench.peers.programs.two_processes import (
    ALICE,
    BOB,
    Report,
    milliseconds_since,
    read_request,
    respond,
    take_queries,
)


def main(folder: Path) -> None:
    """Do what the folder asks and write ``response.json``."""
    store = str(folder / f"store-{secrets.token_hex(8)}")
    respond(folder, "CrypTen", take_part, ((store,), (store,)))


def take_part(rank: int, folder: Path, store: str) -> Report:
    """A party's whole part; ``store`` is the file through which the ranks find each other."""
    return _Party(rank, store, folder).run()


class _Party:
    """One rank: the model shared from Bob, then every query; Alice times."""

    def __init__(self, rank: int, store: str, folder: Path) -> None:
        os.environ.update(
            RENDEZVOUS=f"file://{store}", WORLD_SIZE="2", RANK=str(rank), DISTRIBUTED_BACKEND="gloo"
        )  # fmt: skip
        import torch

        from sotto.mpc.crypten.torch_shim import load_crypten

        torch.set_num_threads(1)
        self.torch, self.crypten, self.rank = torch, load_crypten(), rank
        self.request = read_request(folder)
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            shape = (self.request["examples"], *self.request["input_shape"])
            self.queries = arrays["queries"] if rank == ALICE else np.zeros(shape, np.float32)
            self.weights = {name: arrays[name] for name in arrays.files if name != "queries"} if rank == BOB else None

    def run(self) -> Report:
        crypten = self.crypten
        started = time.perf_counter()
        crypten.init()
        crypten.config.cfg.functions.max_method = "pairwise"
        with crypten.no_grad():
            self.network = self._network()
            self.network.encrypt(src=BOB)
            setup = milliseconds_since(started)
            return self._report(setup)

    def _network(self) -> Any:
        """The network with Bob's weights; Alice, who knows its public shape only, has zeros."""
        import msgspec

        from sotto.mpc.crypten.model import Network
        from sotto.mpc.graph.plan import ModelPlan

        plan = msgspec.json.decode(self.request["network"], type=ModelPlan)
        if self.weights is None:
            return Network(plan, None)
        weights = {
            number: {name: self.weights[f"{number}.{name}"] for name in layer.parameters}
            for number, layer in enumerate(plan.layers)
        }
        return Network(plan, weights)

    def _ask(self, start: int, stop: int) -> tuple[float, list[int]]:
        """One query: milliseconds from features to classes, and the classes, at Alice."""
        features = self.torch.from_numpy(self.queries[start:stop].copy())
        self.crypten.comm.get().barrier()
        started = time.perf_counter()
        logits = self.network(self.crypten.cryptensor(features, src=ALICE))
        labels = logits.argmax(dim=1, one_hot=False).get_plain_text(dst=ALICE)
        elapsed = milliseconds_since(started)
        return elapsed, [int(label) for label in labels.round()] if self.rank == ALICE else []

    def _report(self, setup: float) -> Report:
        report = take_queries(self.request, self._ask, setup_ms=setup, versions={"crypten": self.crypten.__version__})
        report["answers"]["rounds"] = self._rounds()
        return report

    def _rounds(self) -> int:
        """Of one query, as CrypTen itself counts them."""
        settings, communicator = self.crypten.config.cfg.communicator, self.crypten.comm.get()
        settings.verbose = True  # CrypTen counts nothing otherwise
        communicator.reset_communication_stats()
        self._ask(0, 1)
        settings.verbose = False
        return int(communicator.comm_rounds)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
