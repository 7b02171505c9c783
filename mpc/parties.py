"""The parties, each in the process that an experiment starts for it, which imports no more than it needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sotto import mpc
from sotto.link import Link
from sotto.mpc import modes


def warm_up(job: Mapping[str, Any]) -> None:
    """Before the sessions of a host, as its service does (:mod:`sotto.mpc.service`)."""
    modes.warm_up(modes.require_mode(job["mode"]))


def warm_up_dealer(job: Mapping[str, Any]) -> None:
    """The same for a dealer's."""
    modes.warm_up(modes.require_mode(job["mode"]), dealing=True)


def alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Alice:
    """Alice, whose job is her options; what her session imports is imported now, so that no query is charged for it."""
    warm_up(job)
    return mpc.Alice(links.get("dealer"), **job)


def dealer(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Dealer:
    """The dealer, likewise."""
    return mpc.Dealer(**job)


def bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> mpc.Bob:
    """Bob, whose job is himself, made and checked before his process started, and his mode."""
    made: mpc.Bob = job["bob"]
    return made.with_dealer(links.get("dealer"))
