"""Alice and Bob, each in the process that an experiment starts for it, which imports no more than it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotto import he
from sotto.link import Link


def alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> he.Alice:
    """Alice, whose job is her options."""
    return he.Alice(threads=1, **job)


def bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> he.Bob:
    """Bob, whose job is himself, made and checked before his process started."""
    made: he.Bob = job["bob"]
    return made
