"""What `sotto bob` and `sotto dealer` do alike: run a supervisor with a journal and a health endpoint."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from sotto.serving import registry
from sotto.serving.adapters import Hosted, ModelSource
from sotto.serving.service.dealing import Dealing
from sotto.serving.service.monitoring.counters import Counters
from sotto.serving.service.monitoring.health import serve_health
from sotto.serving.service.monitoring.journal import Format, Journal
from sotto.serving.service.sessions import Address, ServiceConfig
from sotto.serving.service.supervisor import Supervisor


def load_model(source: ModelSource) -> Hosted:
    """In the host's process: what Bob serves."""
    return registry.host(source)


def load_dealing(modes: tuple[str, ...], stock: str, idle_seconds: float) -> Dealing:
    """In the host's process: what the dealer serves."""
    return Dealing(modes, Path(stock) if stock else None, idle_seconds)


def run_service(config: ServiceConfig, address: Address, *, health: str | None, log_format: str) -> None:
    """Serve until the user or the system ends it.  Raises one-line errors when it cannot start."""
    journal, counters = Journal(config.role, cast(Format, log_format)), Counters(config.role)
    endpoint = serve_health(health, counters) if health else None
    try:
        if endpoint:
            journal.note("health.serving", address=endpoint.address)
        Supervisor(config, address, journal=journal, counters=counters).run()
    finally:
        if endpoint:
            endpoint.close()
