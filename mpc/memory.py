"""How much memory a session may take: checked before anything is allocated for a stranger's plan.

A process may hold half of the machine's memory, or what its own limit leaves it where that is less: a service gives
each session one (``session_mb``), ``ulimit -v`` gives one to any other.  Who wants larger networks raises that limit,
or takes a larger machine.
"""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

_PAGE = resource.getpagesize()


def allowance() -> int:
    """Bytes that this process may still take."""
    size, resident = _held()
    most = os.sysconf("SC_PHYS_PAGES") * _PAGE // 2 - resident
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return max(0, most if limit == resource.RLIM_INFINITY else min(most, limit - size))


def _held() -> tuple[int, int]:
    """Bytes of address space and of memory that the process has; zeros where the kernel does not tell."""
    with contextlib.suppress(OSError, ValueError):
        size, resident, *_ = Path("/proc/self/statm").read_text(encoding="ascii").split()
        return int(size) * _PAGE, int(resident) * _PAGE
    return 0, 0


def shortage(needed: int, what: str) -> str | None:
    """One line that says what to do, where ``needed`` bytes are more than may be taken; None where they are not."""
    most = allowance()
    if needed <= most:
        return None
    return (
        f"{what} takes about {needed >> 20} MB here and {most >> 20} MB may be taken: give the session more memory"
        " (session_mb of a service) or use a larger machine"
    )
