"""How much memory a session may take: checked before anything is allocated for a stranger's plan.

A process may hold half of the machine's memory, or what its own limit leaves it where that is less: a service gives
each session one (``session_mb``), ``ulimit -v`` gives one to any other.  Who wants larger networks raises that limit,
or takes a larger machine.

The C library gives large arrays back to the system when they are freed.  The next bundle is then laid out in pages that
the system clears and maps one by one: more than half of a dealer's work in mode ``malicious``.  :func:`keep_freed` has
it keep some.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from functools import cache
from pathlib import Path

_PAGE = resource.getpagesize()
_KEPT = 1 << 26
_LARGEST_KEPT = 1 << 25  # the C library takes no more
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of <malloc.h>


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


@cache
def keep_freed() -> None:
    """Let this process keep up to 64 MiB of freed memory for what it allocates next.

    Does nothing where the C library is not glibc, or where MALLOC_TRIM_THRESHOLD_ says what it is to do.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT)
        mallopt(_TRIM_THRESHOLD, _KEPT)
