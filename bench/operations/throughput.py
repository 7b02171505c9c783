"""Queries a second and their latency against the number of clients that ask at once, for each paradigm.

Everything runs on this machine: `sotto bob`, `sotto dealer` where there is one, and every Alice in a process of her own
who asks one thing after another as fast as she gets answers.  So the clients' own work (encryption, decryption, half of
a secret-shared query) is in the figure, as it is not when they have machines of their own; what each party's
processors worked for a query is beside it, and does not depend on who else keeps the machine busy.
``throughput.svg`` shows rate and latency; ``saturated_at_clients`` says from where on more clients bring nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import psutil
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sotto.bench.operations.parties.configurations import Prepared, prepared
from sotto.bench.operations.parties.load_client import LoadClient
from sotto.bench.operations.parties.services import Deployment, ServiceError, cpu_seconds, memory_mb
from sotto.bench.request import Request
from sotto.bench.rows.row import Row, Timing

DESCRIPTION = "queries a second, p50, p95, p99 and processor time against 1 to 32 clients, for each paradigm"

#: How many clients ask at once, by how many examples a query has.
_CLIENTS: Mapping[str, Mapping[int, tuple[int, ...]]] = {
    "quick": {1: (1, 2, 4)},
    "full": {1: (1, 2, 4, 8, 16, 32), 16: (1, 2, 4, 8, 16, 32)},
}
_SECONDS = {"quick": 4.0, "full": 12.0}
_OPENING = 300.0
_SATURATED = 1.1  # more clients that bring less than a tenth more queries bring nothing


def run(request: Request) -> list[Row]:
    """A row for each paradigm, mode and number of clients."""
    rows: list[Row] = []
    for each in prepared(request):
        with each.deployed(patience=120.0, proxied=False) as deployment:
            for examples, counts in _CLIENTS[request.preset].items():
                asked = np.repeat(each.features, examples, axis=0)
                rows += _marked([_measured(deployment, each, asked, count, request) for count in counts])
    request.out.mkdir(parents=True, exist_ok=True)
    draw([row for row in rows if row.parameters["examples"] == 1], request.out / "throughput.svg")
    return rows


def _measured(
    deployment: Deployment, each: Prepared, asked: npt.NDArray[np.float32], count: int, request: Request
) -> Row:
    clients: list[LoadClient] = []
    try:
        for _ in range(count):  # one after the other: each compiles first, and all at once would outwait one another
            clients.append(client := LoadClient(deployment, asked, begin=True))
            if not client.await_opened(_OPENING):
                raise ServiceError(
                    "no-session", f"{each.config}: a client got no session: {client.said or 'it took too long'}"
                )
        memory = memory_mb(deployment.bob.tree)  # with all sessions open
        load = _ask(clients, deployment, _SECONDS[request.preset])
        failed = [client.said for client in clients if client.ended]
        if failed:
            raise ServiceError("client-failed", f"{each.config}: a client failed under load: {failed[0]}")
    finally:
        for client in clients:
            client.close()
    for service in deployment.services:
        service.await_idle(_OPENING)
    latencies = [answer.milliseconds for client in clients for answer in client.answers]
    p50, p95, p99 = (float(np.percentile(latencies, level)) for level in (50, 95, 99))
    metrics = {
        **load,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "timed_queries": float(len(latencies)),
        "bob_memory_mb": memory,
    }
    parameters = {"clients": count, "examples": len(asked)}
    row = each.config.row(request, each.config.model or "default", len(latencies), parameters, metrics)
    rate = f"{metrics['queries_per_second']:.3g} queries a second"
    request.say(f"{each.config}, {count} clients, {len(asked)} examples a query: {rate}")
    return msgspec.structs.replace(row, online_ms=Timing(p50, p95))


def _ask(clients: Sequence[LoadClient], deployment: Deployment, seconds: float) -> dict[str, float | None]:
    """Let all ask for so long.

    Gives the rate from the first question to the last answer; each party's processor time for a query that had an
    answer when the time was over; and how many processors all of the machine's work, that of others too, kept busy.
    """
    before, busy, started = _worked(clients, deployment), _busy_seconds(), time.monotonic()
    for client in clients:
        client.go()
    ends = started + seconds
    while time.monotonic() < ends and not all(client.ended for client in clients):
        for client in clients:
            while client.receive(0.0):
                pass
        time.sleep(0.01)
    elapsed, after, busy = time.monotonic() - started, _worked(clients, deployment), _busy_seconds() - busy
    answered = max(1, sum(len(client.answers) for client in clients))
    for client in clients:
        client.stop()
    for client in clients:
        client.await_end(_OPENING)
    answers = sum(len(client.answers) for client in clients)
    return {
        "queries_per_second": answers / (time.monotonic() - started),
        "processors_busy": busy / elapsed,
        **{f"{party}_cpu_ms": 1e3 * (after[party] - before[party]) / answered for party in after},
    }


def _worked(clients: Sequence[LoadClient], deployment: Deployment) -> dict[str, float]:
    """Seconds of processor time so far, by party: all clients together, every process of each service."""
    parties = {"alice": [psutil.Process(client.pid) for client in clients if client.ended is None]}
    parties["bob"] = deployment.bob.tree
    if deployment.dealer:
        parties["dealer"] = deployment.dealer.tree
    return {party: cpu_seconds(processes) for party, processes in parties.items()}


def _busy_seconds() -> float:
    """Seconds that this machine's processors have worked, for anybody."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _marked(rows: Sequence[Row]) -> list[Row]:
    """The rows of one service, each saying from how many clients on more of them bring nothing."""
    rates = [float(row.metrics["queries_per_second"] or 0.0) for row in rows]
    best = max(rates)
    place = next(place for place, rate in enumerate(rates) if rate * _SATURATED >= best)
    return [
        msgspec.structs.replace(
            row, metrics={**row.metrics, "saturated_at_clients": float(str(rows[place].parameters["clients"]))}
        )
        for row in rows
    ]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Write the plot as SVG: queries a second and latency against clients, one line a service."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    rate, latency = figure.subplots(1, 2)
    for paradigm, mode in dict.fromkeys((row.paradigm, row.mode) for row in rows):
        own = [row for row in rows if (row.paradigm, row.mode) == (paradigm, mode)]
        clients = [int(str(row.parameters["clients"])) for row in own]
        rate.plot(clients, [row.metrics["queries_per_second"] for row in own], "o-", label=f"{paradigm}/{mode}")
        (line,) = latency.plot(clients, [row.metrics["p50_ms"] for row in own], "o-")
        latency.plot(clients, [row.metrics["p99_ms"] for row in own], ":", color=line.get_color())
    _label(rate, "queries a second")
    _label(latency, "milliseconds: p50 solid, p99 dotted")
    rate.legend()
    figure.savefig(path, format="svg", metadata={"Date": None})


def _label(axes: Axes, what: str) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("clients at once")
    axes.set_ylabel(what)
    axes.grid(visible=True, alpha=0.3)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
