"""The paradigms as services: the one table of what `sotto bob`, `sotto alice` and `sotto dealer` can run.

One small module for each paradigm, named after it.  A new paradigm is one more module with the names of
:class:`Paradigm`, and its name in ``NAMES``.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, Link
from sotto.serving.terms import FrontEnd, Reveal, Terms

if TYPE_CHECKING:
    from sotto.audio import Clip

NAMES = ("mpc", "he", "hashing", "keyed", "adversarial")


class DoorError(ValueError):
    """A paradigm cannot be served or asked like this; the message says what to do."""


class BobDoor(Protocol):
    """Bob's side of one session."""

    def answer(self, link: Link) -> bool:
        """Handle set-up messages and one query; False when Alice has left."""


class AliceDoor(Protocol):
    """Alice's side of one session."""

    def prepare(self, link: Link) -> None: ...

    def ask(self, features: npt.NDArray[np.float32], link: Link) -> Answer: ...


class Front(Protocol):
    """What Alice does with a recording before the protocol begins."""

    def compute(self, clip: Clip) -> npt.NDArray[np.float32]:
        """One recording as her door takes it (1, …).  Raises one-line errors."""


class Hosted(Protocol):
    """A model made ready to serve, once for all sessions.

    ``make`` gives the door of one session, whose links are to the parties besides Alice; it must not share secret state
    between sessions.  :attr:`needs_dealer`: whether one of them is the dealer.
    """

    @property
    def terms(self) -> Terms: ...

    @property
    def needs_dealer(self) -> bool: ...

    def make(self, links: Mapping[str, Link]) -> BobDoor: ...


@dataclass(frozen=True)
class Offer:
    """What Bob is started with: a model file or a folder of :mod:`sotto.serving.folders`; an empty mode is the first.

    ``idle_seconds``: how long a client that has a session may be silent.  ``store``: folder of what sessions
    prepared and did not use, in mode ``two-party`` of mpc.
    """

    paradigm: str
    model: Path
    mode: str = ""
    reveal: Reveal = "class"
    idle_seconds: float = 600.0
    store: Path | None = None


@dataclass(frozen=True)
class Own:
    """What Alice brings herself: the folder with her key and front end, where the paradigm needs one.

    ``store`` as in :class:`Offer`.
    """

    folder: Path | None = None
    reveal: Reveal = "class"
    store: Path | None = None


class Paradigm(Protocol):
    """What a module here offers."""

    @property
    def MODES(self) -> tuple[str, ...]:  # noqa: N802  a module's constant
        """Its modes, the one that is meant when none is named first."""

    def needs_dealer(self, mode: str) -> bool:
        """Whether Alice and Bob both need a link to the dealer in ``mode``; an empty one is the first."""

    def host(self, offer: Offer) -> Hosted:
        """Load what Bob serves.  Raises one-line errors."""

    def front(self, own: Own, terms: Terms) -> Front:
        """What Alice does with a recording.  Raises :class:`DoorError` where it has to be her own and is not there."""

    def alice(self, own: Own, terms: Terms, links: Mapping[str, Link]) -> AliceDoor:
        """Alice's door.  Raises one-line errors."""


def paradigm(name: str) -> Paradigm:
    """The module of a paradigm.  Raises :class:`DoorError` for a name that is none."""
    if name not in NAMES:
        raise DoorError(f"'{name[:40]}' is no paradigm: choose one of {', '.join(NAMES)}")
    return cast(Paradigm, importlib.import_module(f"sotto.serving.doors.{name}"))


def require_mode(modes: tuple[str, ...], mode: str) -> str:
    """``mode``, or the first of ``modes`` for an empty one.  Raises :class:`DoorError`."""
    if mode and mode not in modes:
        raise DoorError(f"'{mode[:40]}' is no mode of this paradigm: choose one of {', '.join(modes)}")
    return mode or modes[0]


def published_front(terms: Terms) -> FrontEnd:
    """Bob's front end, for paradigms that hide the features from him.  Raises :class:`DoorError` where he has none."""
    if terms.front is None:
        raise DoorError("bob's model does not say which features it takes: prepare it again")
    return terms.front
