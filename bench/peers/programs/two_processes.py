"""Alice and Bob of a peer as two processes, the queries that they take together, and the bytes that they send.

Libraries that talk through sockets of their own (gloo, brpc) do not count, or count what they think they send.  Linux
keeps ``tcpi_bytes_sent`` for every connection.

Programs in other systems' environments import this module by its path: it needs the standard library and NumPy only,
and Python 3.10.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np

ALICE, BOB = 0, 1
_PARTING = 60.0  # seconds a party that is done stays for the other
_BYTES_SENT = 200  # offset of tcpi_bytes_sent in struct tcp_info, Linux 4.19 and later
_NOT_SENT = 144  # offset of tcpi_notsent_bytes
_ROOM = 512

#: What a party says when it is done: ``answers`` (what only Alice knows counts) and the ``bytes`` it sent for a query.
Report = dict[str, Any]


def respond(
    folder: Path, system: str, party: Callable[..., Report], arguments: Sequence[tuple[Any, ...]] = ((), ())
) -> None:
    """Run ``party(rank, folder, *arguments[rank])`` in a process for each rank; write ``response.json``.

    Ends the program with one line where a party fails, dies, or is silent for longer than the request allows.
    """
    request = read_request(folder)
    context = multiprocessing.get_context("spawn")
    processes, pipes = [], []
    for rank in (ALICE, BOB):
        ours, theirs = context.Pipe()
        target = (party, rank, str(folder), arguments[rank], theirs)
        process = context.Process(target=_run_party, args=target, daemon=True)
        process.start()
        theirs.close()
        processes.append(process)
        pipes.append(ours)
    alice, bob = _receive_both(pipes, system, request["timeout"])
    for pipe in pipes:
        pipe.close()
    for process in processes:
        process.join(10)
        process.kill()
    response = {
        **alice["answers"],
        "cpu_seconds": {"alice": alice["answers"]["cpu_seconds"], "bob": bob["answers"]["cpu_seconds"]},
        "bytes_alice": alice["bytes"],
        "bytes_bob": bob["bytes"],
        "peak_rss_mb": max(alice["peak_rss_mb"], bob["peak_rss_mb"]),
    }
    (folder / "response.json").write_text(json.dumps(response))


def read_request(folder: Path) -> dict[str, Any]:
    """What the folder asks (:class:`sotto.bench.peers.job.Request`)."""
    request: dict[str, Any] = json.loads((folder / "request.json").read_text())
    return request


def take_queries(
    request: Mapping[str, Any],
    ask: Callable[[int, int], tuple[float, list[int]]],
    *,
    sent: Callable[[], int] | None = None,
    ready: Callable[[int], None] = lambda examples: None,
    **more: Any,
) -> Report:
    """A party's part in all queries: the warm-up, single ones, then batches.

    Parameters
    ----------
    request
        how many of each kind, and in all.
    ask
        take examples from start to stop through the system; Alice's milliseconds and classes.
    sent
        bytes this party has sent so far, :func:`bytes_sent` by default.
    ready
        prepare for queries of so many examples, outside the time.
    more
        further answers.

    Returns
    -------
    The party's report, with the answers ``labels``, ``milliseconds``, ``batch_milliseconds`` and, of this party's
    processor for a single query (median), ``cpu_seconds``; the median ``bytes`` of a single query.
    """
    singles, batch, sent = request["singles"], request["batch"], sent or bytes_sent
    for _ in range(request["warm_up"]):
        ask(0, 1)
    labels: list[int] = []
    times, batched, processor, moved = [], [], [], []
    for number in range(singles):
        before, busy = sent(), time.process_time()
        elapsed, found = ask(number, number + 1)
        processor.append(time.process_time() - busy)
        moved.append(sent() - before)
        times.append(elapsed)
        labels += found
    for start in range(singles, request["examples"], batch or 1):
        stop = min(start + (batch or 1), request["examples"])
        ready(stop - start)
        elapsed, found = ask(start, stop)
        labels += found
        if stop - start == batch > 1:
            batched.append(elapsed / batch)
    answers = {
        "labels": labels,
        "milliseconds": times,
        "batch_milliseconds": batched,
        "cpu_seconds": float(np.median(processor)),
        **more,
    }
    return {"answers": answers, "bytes": round(float(np.median(moved)))}


def milliseconds_since(started: float) -> float:
    """Since a moment of :func:`time.perf_counter`."""
    return 1e3 * (time.perf_counter() - started)


def _run_party(
    party: Callable[..., Report], rank: int, folder: str, arguments: tuple[Any, ...], pipe: Connection
) -> None:
    try:
        report = {**party(rank, Path(folder), *arguments), "peak_rss_mb": round(peak_rss_mb(), 1)}
    except Exception as error:
        said = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
        report = {"error": f"{type(error).__name__}: {said[-1] if said else 'without a word'}"[:300]}
    with contextlib.suppress(OSError):  # nobody listens where the other one has failed before
        pipe.send_bytes(json.dumps(report).encode())
        pipe.poll(_PARTING)  # the other one may still need our end of the link


def _receive_both(pipes: Sequence[Connection], system: str, timeout: float) -> tuple[Report, Report]:
    """Both reports, received in the order they come, so that the one who failed first says why."""
    until = time.monotonic() + timeout
    reports: dict[int, Report] = {}
    while len(reports) < len(pipes):
        silent = [pipe for rank, pipe in enumerate(pipes) if rank not in reports]
        speaking = wait(silent, until - time.monotonic())
        if not speaking:
            raise SystemExit(f"a party of {system} said nothing in time")
        for rank, pipe in enumerate(pipes):
            if pipe in speaking:
                reports[rank] = _receive(pipe, system)
    return reports[ALICE], reports[BOB]


def _receive(pipe: Connection, system: str) -> Report:
    try:
        report: Report = json.loads(pipe.recv_bytes())
    except EOFError:
        raise SystemExit(f"a party of {system} ended without a word") from None
    if "error" in report:
        raise SystemExit(f"a party of {system} failed: {report['error']}")
    return report


def peak_rss_mb() -> float:
    """Of this process, by the kernel's own figure: ``ru_maxrss`` would count what the starting process held."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError("this kernel does not say how much memory a process has used: Linux is needed")


class NotCounted(RuntimeError):
    """This kernel does not say how many bytes a connection has sent."""


def bytes_sent() -> int:
    """Bytes sent on every TCP connection that is open in this process now, those included that wait for the network.

    Raises :class:`NotCounted`.
    """
    return sum(_sent(number) for number in _sockets())


def _sockets() -> list[int]:
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208  a listing of numbers
        try:
            target = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
        except OSError:
            continue  # the descriptor of the listing itself
        if target.startswith("socket:"):
            found.append(int(name))
    return found


def _sent(number: int) -> int:
    try:
        with socket.socket(fileno=os.dup(number)) as connection:
            if connection.type != socket.SOCK_STREAM or connection.family not in (socket.AF_INET, socket.AF_INET6):
                return 0
            information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ROOM)
    except OSError:
        return 0  # closed meanwhile
    if len(information) < _BYTES_SENT + 8:
        raise NotCounted("this kernel does not count the bytes of a connection: Linux 4.19 or later is needed")
    waiting = struct.unpack_from("<I", information, _NOT_SENT)[0]
    return int(struct.unpack_from("<Q", information, _BYTES_SENT)[0] + waiting)
