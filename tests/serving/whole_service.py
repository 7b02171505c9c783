"""A whole service for the tests, as its own process: ``python -m tests.serving.whole_service FILE HEALTH``."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

from sotto.serving.limits import Limits
from sotto.serving.service.monitoring.counters import Counters
from sotto.serving.service.monitoring.health import serve_health
from sotto.serving.service.monitoring.journal import Journal
from sotto.serving.service.sessions import ServiceConfig
from sotto.serving.service.supervisor import ServiceFailed, Supervisor
from tests.serving.parties import EchoFile


def main() -> None:
    file, health = sys.argv[1:]
    counters = Counters("bob")
    endpoint = serve_health(health, counters)

    def announce(address):
        sys.stdout.write(json.dumps([*address, endpoint.address]) + "\n")
        sys.stdout.flush()

    config = ServiceConfig(role="bob", load=partial(EchoFile, Path(file)), limits=Limits(drain_seconds=5.0))
    supervisor = Supervisor(
        config, ("127.0.0.1", 0), journal=Journal("bob", "json"), counters=counters, announce=announce
    )
    try:
        supervisor.run()
    except ServiceFailed as error:
        sys.exit(f"error: {error}")
    finally:
        endpoint.close()


if __name__ == "__main__":
    main()
