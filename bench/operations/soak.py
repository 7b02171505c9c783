"""Many queries on end: whether the memory and the file descriptors of each process stay what they were.

Half of a service's queries come in one long session, which shows what a session keeps; the other half in sessions of
twenty queries, which shows what the service keeps of sessions that are over.  A slope is fitted to what was sampled
after the first quarter, when caches are warm.  ``soak.csv`` has every sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import psutil

from sotto.bench.operations.parties.configurations import CONFIGURATIONS, Prepared, ServedConfiguration, prepared
from sotto.bench.operations.parties.load_client import LoadClient
from sotto.bench.operations.parties.services import Deployment, ServiceError, memory_mb, open_files
from sotto.bench.request import Request
from sotto.bench.rows.results import write_csv
from sotto.bench.rows.row import Row

DESCRIPTION = "10,000 queries on end: memory and file descriptors of every process, and their slopes"

_QUERIES = {"quick": 500, "full": 10_000}  # of all services together
_PER_SESSION = 20
_SAMPLES = 40  # of each half
_QUERY_SECONDS = 120.0
_COLUMNS = ("paradigm", "mode", "sessions", "party", "queries", "memory_mb", "files")


@dataclass(frozen=True)
class Sample:
    """One party after so many queries of a half; ``party`` is who is weighed."""

    config: ServedConfiguration
    half: str
    party: str
    queries: int
    memory_mb: float
    files: int


def run(request: Request) -> list[Row]:
    """A row for each service, half and party."""
    samples: list[Sample] = []
    for each in prepared(request):
        queries = _queries(each.config, _QUERIES[request.preset])
        with each.deployed(patience=_QUERY_SECONDS, proxied=False) as deployment:
            for half in (_long_session, _many_sessions):
                samples += half(deployment, each, queries)
                request.say(f"{each.config}: {queries} queries, {half.__name__.strip('_').replace('_', ' ')}")
                lines = [
                    (s.config.paradigm, s.config.mode, s.half, s.party, s.queries, f"{s.memory_mb:.2f}", s.files)
                    for s in samples
                ]
                write_csv(request.out / "soak.csv", _COLUMNS, lines)
    keys = dict.fromkeys((sample.config, sample.half, sample.party) for sample in samples)
    return [
        _row(config, half, party, [s for s in samples if (s.config, s.half, s.party) == (config, half, party)], request)
        for config, half, party in keys
    ]


def _queries(config: ServedConfiguration, together: int) -> int:
    """Of each half: slow services get a tenth of what the others share."""
    weights = {each: 1 if each.slow else 10 for each in CONFIGURATIONS}
    return max(2 * _PER_SESSION, math.ceil(together * weights[config] / sum(weights.values()) / 2))


def _long_session(deployment: Deployment, each: Prepared, queries: int) -> Iterator[Sample]:
    client = LoadClient(deployment, each.features, queries=queries, begin=True)
    try:
        if not client.await_opened(_QUERY_SECONDS):
            raise ServiceError("no-session", f"{each.config}: no session: {client.said}")
        client.go()
        every, weighed = max(1, queries // _SAMPLES), 0
        while client.ended is None:
            if not client.receive(_QUERY_SECONDS):
                raise ServiceError("no-answer", f"{each.config}: no answer within {_QUERY_SECONDS:g} s")
            while client.receive(0.0):  # it does not wait to be weighed
                pass
            if client.ended is None and len(client.answers) >= weighed + every:
                weighed = len(client.answers)
                sessions = {f"{service.arguments[0]}'s session": service.sessions for service in deployment.services}
                yield from _weighed(each.config, "one session", {"alice": _alive(client), **sessions}, weighed)
        if client.ended:
            raise ServiceError("client-failed", f"{each.config}: {client.said}")
    finally:
        client.close()


def _alive(client: LoadClient) -> list[psutil.Process]:
    """Its process, none when it has just ended."""
    try:
        return [psutil.Process(client.pid)]
    except psutil.NoSuchProcess:
        return []


def _many_sessions(deployment: Deployment, each: Prepared, queries: int) -> Iterator[Sample]:
    sessions = math.ceil(queries / _PER_SESSION)
    every = max(1, sessions // _SAMPLES)
    for number in range(1, sessions + 1):
        client = LoadClient(deployment, each.features, queries=_PER_SESSION)
        done = client.await_end(_QUERY_SECONDS * _PER_SESSION)
        client.close()
        if not done or client.ended:
            raise ServiceError("client-failed", f"{each.config}: {client.said or 'a session took too long'}")
        if number % every == 0:
            for service in deployment.services:
                service.await_idle(_QUERY_SECONDS)
            services = {service.arguments[0]: service.tree for service in deployment.services}
            yield from _weighed(each.config, "many sessions", services, number * _PER_SESSION)


def _weighed(
    config: ServedConfiguration, half: str, parties: Mapping[str, Sequence[psutil.Process]], queries: int
) -> Iterator[Sample]:
    for party, processes in parties.items():
        if memory := memory_mb(processes):  # who has just ended weighs nothing
            yield Sample(config, half, party, queries, memory, open_files(processes))


def slope(samples: Sequence[Sample]) -> float:
    """Megabytes that a thousand queries add, after the first quarter of them."""
    warm = samples[len(samples) // 4 :]
    if len(warm) < 2 or warm[0].queries == warm[-1].queries:
        return 0.0
    return float(np.polyfit([each.queries for each in warm], [each.memory_mb for each in warm], 1)[0] * 1000)


def _row(config: ServedConfiguration, half: str, party: str, samples: Sequence[Sample], request: Request) -> Row:
    warm = samples[len(samples) // 4 :]
    metrics: dict[str, float | None] = {
        "queries": float(samples[-1].queries),
        "memory_mb_first": warm[0].memory_mb,
        "memory_mb_last": warm[-1].memory_mb,
        "memory_mb_per_1000_queries": slope(samples),
        "files_first": float(warm[0].files),
        "files_last": float(warm[-1].files),
    }
    return config.row(request, party, samples[-1].queries, {"sessions": half, "party": party}, metrics)
