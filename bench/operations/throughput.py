"""Queries a second and their latency against the number of clients that ask at once, for each paradigm.

Everything runs on this machine: `sotto bob`, `sotto dealer` where there is one, and every Alice in a process of her own
who asks one clip after another as fast as she gets answers.  So the clients' own work (encryption, decryption, half of
a secret-shared query) is in the figure, as it is not when they have machines of their own.  ``throughput.svg`` shows
both figures; the row with most queries a second says where a service is saturated.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec
import numpy as np

from sotto.bench.operations.configurations import Prepared, ServedConfiguration, prepared
from sotto.bench.operations.load_client import LoadClient
from sotto.bench.operations.services import Deployment, ServiceError, memory_mb
from sotto.bench.operations.throughput_plot import draw
from sotto.bench.request import Request
from sotto.bench.row import Row, Timing

DESCRIPTION = "queries a second and p50, p95, p99 against 1 to 16 clients, for each paradigm, and where it saturates"

_CLIENTS = {"quick": (1, 2, 4), "full": (1, 2, 4, 8, 16)}
_SECONDS = {"quick": 4.0, "full": 12.0}
_OPENING = 300.0
_SATURATED = 1.1  # more clients that bring less than a tenth more queries bring nothing


def run(request: Request) -> list[Row]:
    """A row for each paradigm, mode and number of clients."""
    rows: list[Row] = []
    for each in prepared(request):
        with each.deployed(patience=120.0, proxied=False) as deployment:
            rows += _marked([_measured(deployment, each, count, request) for count in _CLIENTS[request.preset]])
    request.out.mkdir(parents=True, exist_ok=True)
    draw(rows, request.out / "throughput.svg")
    return rows


def _measured(deployment: Deployment, each: Prepared, count: int, request: Request) -> Row:
    clients = [LoadClient(deployment, each.features, begin=True) for _ in range(count)]
    try:
        for client in clients:
            if not client.await_opened(_OPENING):
                raise ServiceError(
                    "no-session", f"{each.config}: a client got no session: {client.said or 'it took too long'}"
                )
        memory = memory_mb(deployment.bob.tree)  # with all sessions open
        elapsed = _ask(clients, _SECONDS[request.preset])
        failed = [client.said for client in clients if client.ended]
        if failed:
            raise ServiceError("client-failed", f"{each.config}: a client failed under load: {failed[0]}")
    finally:
        for client in clients:
            client.close()
    for service in deployment.services:
        service.await_idle(_OPENING)
    latencies = [answer.milliseconds for client in clients for answer in client.answers]
    row = _row(each.config, count, latencies, elapsed, memory, request)
    request.say(f"{each.config}, {count} clients: {row.metrics['queries_per_second']:.3g} queries a second")
    return row


def _ask(clients: Sequence[LoadClient], seconds: float) -> float:
    """Let all ask for so long; the time from the first question to the last answer."""
    started = time.monotonic()
    for client in clients:
        client.go()
    ends = started + seconds
    while time.monotonic() < ends and not all(client.ended for client in clients):
        for client in clients:
            while client.receive(0.0):
                pass
        time.sleep(0.01)
    for client in clients:
        client.stop()
    for client in clients:
        client.await_end(_OPENING)
    return time.monotonic() - started


def _row(
    config: ServedConfiguration, clients: int, latencies: list[float], elapsed: float, memory: float, request: Request
) -> Row:
    p50, p95, p99 = (float(np.percentile(latencies, level)) for level in (50, 95, 99))
    metrics: dict[str, float | None] = {
        "queries_per_second": len(latencies) / elapsed,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "timed_queries": float(len(latencies)),
        "bob_memory_mb": memory,
    }
    row = config.row(request, config.model or "default", len(latencies), {"clients": clients}, metrics)
    return msgspec.structs.replace(row, online_ms=Timing(p50, p95))


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
