"""Alice and Bob, each in the process that an experiment starts for it, which imports no more than it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotto import keyed
from sotto.link import Link


def alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> keyed.Alice:
    """Alice, whose job is her options."""
    return keyed.Alice(**job)


def bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> keyed.Bob:
    """Bob, likewise."""
    return keyed.Bob(**job)
