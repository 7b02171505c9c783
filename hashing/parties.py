"""Alice and Bob, each in the process that an experiment starts for it, which imports no more than it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotto import hashing
from sotto.link import Link


def alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> hashing.Alice:
    """Alice, whose job is her options."""
    return hashing.Alice(**job)


def warm_up(job: Mapping[str, Any]) -> None:
    """Import, once for all sessions of Bob's host, what he needs."""
    hashing.Bob(**job)


def bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> hashing.Bob:
    """Bob, likewise."""
    return hashing.Bob(**job)
