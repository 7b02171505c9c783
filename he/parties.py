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
    """Bob, whose job is his network, his mode, and the parameters chosen before his process started."""
    return he.Bob(job["network"], mode=job["mode"], chosen=job["plan"], threads=1)


def job_of(bob: he.Bob, mode: str) -> Mapping[str, Any]:
    """The job with which such a Bob is made again."""
    return {"network": bob.network, "mode": mode, "plan": bob.plan}
