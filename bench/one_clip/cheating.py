"""One clip asked while one party cheats: what it altered, and whether the other noticed.

A cheat is written ``PARTY:MESSAGE`` or ``PARTY:MESSAGE:KIND``: ``bob:relu2``, ``alice:input``, ``bob:check.tags:flip``.
A message may be named by its beginning; ``list`` names them all.  A cheat of :data:`sotto.mpc.attacks.MEANINGS`, such
as ``bob:classes``, alters no message: the cheater starts from something else.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import get_args

import numpy as np
import numpy.typing as npt

from sotto.bench.experiment import Experiment
from sotto.link import Coded
from sotto.mpc.attacks import KINDS, MEANINGS, Adversary, Cheat, Kind, Outcome, Party, Place


class CheatError(Coded, ValueError):
    """A cheat that cannot be tried; the message says what can."""


#: How names of messages begin, numbers left out, in any mode and network.
BEGINNINGS = (
    "affine", "argmax", "check", "coin", "constant", "conv", "crypten", "dealer", "he", "input", "linear", "matmul",
    "max", "maxpool", "mpc", "ot", "output", "relu", "scale", "square", "times", "truncate",
)  # fmt: skip


@dataclass(frozen=True)
class Cheated:
    """The honest session's class, and what came of the cheat."""

    right: int
    outcome: Outcome


def places(experiment: Experiment, query: npt.NDArray[np.float32]) -> Mapping[Party, list[Place]]:
    """Every message that each party sends in a session about ``query``.  Raises :class:`CheatError`."""
    with _parties(experiment, query) as adversary:
        return dict(adversary.honest().places)


def cheat(experiment: Experiment, query: npt.NDArray[np.float32], wanted: str) -> Cheated:
    """One honest session about ``query``, then one with the cheat ``wanted``.  Raises :class:`CheatError`."""
    parsed(wanted)
    with _parties(experiment, query) as adversary:
        before = adversary.honest()
        chosen = find(wanted, before.places)
        return Cheated(before.right, adversary.attempt(chosen, before.right))


def parsed(wanted: str) -> tuple[Party, str, Kind | None]:
    """Who cheats, at which message, and how, if that is said.  Raises :class:`CheatError`."""
    who, _, rest = wanted.partition(":")
    name, _, how = rest.partition(":")
    party = next((each for each in get_args(Party) if each == who), None)
    if party is None or not name:
        raise CheatError("bad-cheat", f"'{wanted}' is no PARTY:MESSAGE, as in bob:relu2; --cheat list names them")
    kind = next((each for each in KINDS if each == how), None)
    if how and kind is None:
        raise CheatError("unknown-kind", f"'{how}' is no kind of cheat: choose one of {', '.join(KINDS)}")
    beginning = name.partition(".")[0].rstrip("0123456789")
    if beginning not in BEGINNINGS and f"{who}:{name}" not in MEANINGS:
        raise CheatError(
            "no-such-message",
            f"no message of mpc begins with '{beginning[:40]}': they are {', '.join(BEGINNINGS)}; --cheat list has all",
        )
    return party, name, kind


def find(wanted: str, known: Mapping[Party, list[Place]]) -> Cheat:
    """The cheat that ``wanted`` means among the messages of ``known``.  Raises :class:`CheatError`."""
    party, name, kind = parsed(wanted)
    if f"{party}:{name}" in MEANINGS and kind is None:
        return Cheat(party, name, "meaning")
    offered = [place for place in known[party] if place.size]
    exact = [place for place in offered if place.name == name]
    begins = exact or [place for place in offered if place.name.startswith(f"{name}.")]
    if not begins:
        names = ", ".join(place.name for place in offered if place.online)
        raise CheatError("no-such-message", f"{party} sends no message '{name}' in this session; of the query: {names}")
    chosen = begins[0].name
    usual: Kind = "consistent" if chosen.endswith((".masked", ".input", ".sign", ".select")) else "add"
    return Cheat(party, chosen, kind or usual, seed=1)


def _parties(experiment: Experiment, query: npt.NDArray[np.float32]) -> AbstractContextManager[Adversary]:
    if experiment.adversary is None:
        raise CheatError(
            "no-cheating", f"nobody can be made to cheat in {experiment.cell.paradigm}: --cheat is for mpc"
        )
    return experiment.adversary(query)
