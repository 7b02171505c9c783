"""What a service has done so far, as numbers: what its health endpoint shows, in Prometheus' text format."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Sequence

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Counters:
    """Counted by the service, read by the endpoint's thread."""

    def __init__(self, party: str) -> None:
        self._party = party
        self._lock = threading.Lock()
        self._started = time.time()
        self._counts: Counter[str] = Counter()
        self._gauges: dict[str, float] = {
            "up": 0, "sessions_running": 0, "connections_arriving": 0, "clients_waiting": 0,
        }  # fmt: skip
        self._buckets = [0] * len(_SECONDS)
        self._query_seconds = 0.0

    def add(self, name: str, amount: int = 1) -> None:
        with self._lock:
            self._counts[name] += amount

    def set(self, name: str, value: float) -> None:
        with self._lock:
            self._gauges[name] = value

    def get(self, name: str) -> float:
        with self._lock:
            return self._gauges.get(name, self._counts[name])

    def queries(self, milliseconds: Sequence[float], sent: int, received: int) -> None:
        """Queries were answered, each in so many ``milliseconds``; bytes are those of all."""
        with self._lock:
            self._counts["queries_total"] += len(milliseconds)
            self._counts["bytes_sent_total"] += sent
            self._counts["bytes_received_total"] += received
            for each in milliseconds:
                self._query_seconds += each / 1e3
                for place, most in enumerate(_SECONDS):
                    self._buckets[place] += each / 1e3 <= most

    def text(self) -> str:
        """All of it; every name begins with ``sotto_``."""
        label = f'{{party="{self._party}"}}'
        with self._lock:
            lines = [
                f"# TYPE sotto_{name} gauge\nsotto_{name}{label} {value:g}" for name, value in self._gauges.items()
            ]
            for name in _COUNTED:
                lines.append(f"# TYPE sotto_{name} counter\nsotto_{name}{label} {self._counts[name]}")
            lines.append("# TYPE sotto_query_seconds histogram")
            for most, count in zip(_SECONDS, self._buckets, strict=True):
                lines.append(f'sotto_query_seconds_bucket{{party="{self._party}",le="{most:g}"}} {count}')
            total = self._counts["queries_total"]
            lines.append(f'sotto_query_seconds_bucket{{party="{self._party}",le="+Inf"}} {total}')
            lines.append(f"sotto_query_seconds_sum{label} {self._query_seconds:.6f}")
            lines.append(f"sotto_query_seconds_count{label} {total}")
            lines.append(f"# TYPE sotto_start_time_seconds gauge\nsotto_start_time_seconds{label} {self._started:.3f}")
        return "\n".join(lines) + "\n"


_COUNTED = (
    "sessions_opened_total",
    "sessions_closed_total",
    "sessions_failed_total",
    "clients_refused_total",
    "queries_total",
    "bytes_sent_total",
    "bytes_received_total",
    "reloads_total",
    "reloads_failed_total",
    "host_restarts_total",
)
