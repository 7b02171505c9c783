"""Stock CrypTen 0.4.1 as its users run it: two processes, torch.distributed with gloo, its default triple provider.

``python -m bench.peers.crypten_program FOLDER`` (:mod:`bench.peers.errand`).  Rank 0 is Alice, rank 1 Bob.  The default
provider ("trusted first party") makes all correlated randomness at rank 0 and sends the other party's share inside the
query: **whoever is rank 0 can open everything**, so here Bob's model is protected from Alice by her good will alone.

The network is one of ``crypten.nn`` modules (:mod:`mpc.crypten_model`), because CrypTen's own converter needs an ONNX
exporter that current PyTorch no longer has.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from bench.party import peak_rss_mb
from bench.peers.socket_bytes import bytes_sent

ALICE, BOB = 0, 1


def main(folder: Path) -> None:
    """Do what the folder asks and write ``response.json``."""
    request = json.loads((folder / "request.json").read_text())
    store = folder / f"store-{secrets.token_hex(8)}"
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for rank in (ALICE, BOB):
        ours, theirs = context.Pipe()
        process = context.Process(target=_party, args=(rank, str(store), str(folder), theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(ours)
        processes.append(process)
    reports = [_hear(pipe, request["timeout"]) for pipe in pipes]
    for process in processes:
        process.join(10)
        process.kill()
    alice, bob = reports
    response = {
        **alice["answers"],
        "bytes_alice": alice["bytes"],
        "bytes_bob": bob["bytes"],
        "rounds": alice["rounds"],
        "peak_rss_mb": max(alice["peak_rss_mb"], bob["peak_rss_mb"]),
        "versions": {"crypten": alice["version"]},
    }
    (folder / "response.json").write_text(json.dumps(response))


def _hear(pipe: Connection, timeout: float) -> dict[str, Any]:
    if not pipe.poll(timeout):
        raise SystemExit("a party of CrypTen said nothing in time")
    try:
        report = json.loads(pipe.recv_bytes())
    except EOFError:
        raise SystemExit("a party of CrypTen ended without a word") from None
    if "error" in report:
        raise SystemExit(f"a party of CrypTen failed: {report['error']}")
    return report


def _party(rank: int, store: str, folder: str, pipe: Connection) -> None:
    try:
        report = _Party(rank, store, Path(folder)).run()
    except Exception as error:
        report = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    pipe.send_bytes(json.dumps(report).encode())


class _Party:
    """One rank: the model shared from Bob, then every query; Alice times."""

    def __init__(self, rank: int, store: str, folder: Path) -> None:
        os.environ.update(
            RENDEZVOUS=f"file://{store}", WORLD_SIZE="2", RANK=str(rank), DISTRIBUTED_BACKEND="gloo"
        )  # fmt: skip
        import torch

        from mpc.crypten_torch import load_crypten

        torch.set_num_threads(1)
        self.torch, self.crypten, self.rank = torch, load_crypten(), rank
        self.request = json.loads((folder / "request.json").read_text())
        with np.load(folder / "arrays.npz", allow_pickle=False) as arrays:
            self.queries = arrays["queries"] if rank == ALICE else np.zeros_like(arrays["queries"])
            self.weights = {name: arrays[name] for name in arrays.files if name != "queries"} if rank == BOB else None

    def run(self) -> dict[str, Any]:
        crypten = self.crypten
        started = time.perf_counter()
        crypten.init()
        crypten.config.cfg.functions.max_method = "pairwise"
        with crypten.no_grad():
            self.network = self._network()
            self.network.encrypt(src=BOB)
            setup = 1e3 * (time.perf_counter() - started)
            return self._report(setup)

    def _network(self) -> Any:
        """The network with Bob's weights; Alice, who knows its public shape only, has zeros."""
        import msgspec

        from mpc.crypten_model import Network
        from mpc.plan import ModelPlan

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
        elapsed = 1e3 * (time.perf_counter() - started)
        return elapsed, [int(label) for label in labels.round()] if self.rank == ALICE else []

    def _report(self, setup: float) -> dict[str, Any]:
        singles, batch = self.request["singles"], self.request["batch"]
        for _ in range(self.request["warm_up"]):
            self._ask(0, 1)
        labels: list[int] = []
        times: list[float] = []
        batched: list[float] = []
        sent = []
        for number in range(singles):
            before = bytes_sent()
            elapsed, found = self._ask(number, number + 1)
            sent.append(bytes_sent() - before)
            times.append(elapsed)
            labels += found
        step = batch or 1
        for start in range(singles, len(self.queries), step):
            stop = min(start + step, len(self.queries))
            elapsed, found = self._ask(start, stop)
            labels += found
            if stop - start == batch > 1:
                batched.append(elapsed / batch)
        answers = {"labels": labels, "milliseconds": times, "batch_milliseconds": batched, "setup_ms": setup}
        return {
            "answers": answers,
            "bytes": round(float(np.median(sent))),
            "rounds": self._rounds(),
            "peak_rss_mb": round(peak_rss_mb(), 1),
            "version": self.crypten.__version__,
        }

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
