"""Alice and Bob of a peer with a TCP connection between them.

Programs in other systems' environments import this module by its path: it needs the standard library and NumPy only,
and Python 3.10.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

# These files are found beside this one, which is imported by its path.
from framing import Connection  # type: ignore[import-not-found]
from two_processes import ALICE, Report, respond  # type: ignore[import-not-found]

_PATIENCE = 300.0  # seconds for one message

#: A party's whole part, given the job's folder and its side of the connection.
Part = Callable[[Path, Any], Report]


def respond_connected(folder: Path, system: str, alice: Part, bob: Part) -> None:
    """Run both parts, each in a process of its own, and write ``response.json``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        respond(folder, system, _take_part, ((alice, listener.getsockname()[1]), (bob, listener)))


def _take_part(rank: int, folder: Path, part: Part, meeting: Any) -> Report:
    """``meeting`` is where they meet: a port for Alice, the listening socket for Bob."""
    if rank == ALICE:
        connection = socket.create_connection(("127.0.0.1", meeting), timeout=_PATIENCE)
    else:
        meeting.settimeout(_PATIENCE)
        connection, _ = meeting.accept()
    with connection:
        return part(folder, Connection(connection, _PATIENCE))
