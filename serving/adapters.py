"""What a paradigm offers to be served: the module ``service.py`` of its package has the names of
:class:`ServiceAdapter`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from sotto.link import Answer, Link
from sotto.serving.errors import AdapterError
from sotto.serving.reveal import Reveal
from sotto.serving.terms import FrontEnd, Terms

if TYPE_CHECKING:
    from sotto.audio import Clip


class BobAdapter(Protocol):
    """Bob's side of one session."""

    def answer(self, link: Link) -> bool:
        """Handle set-up messages and one query; False when Alice has left."""


class AliceAdapter(Protocol):
    """Alice's side of one session."""

    def prepare(self, link: Link) -> None: ...

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer: ...


class Front(Protocol):
    """What Alice does with a recording before the protocol begins."""

    def compute(self, clip: Clip) -> npt.NDArray[np.float32]:
        """One recording as her door takes it (1, …).  Raises one-line errors."""

    def blank(self) -> npt.NDArray[np.float32]:
        """Zeros of the same shape: what goes out instead of a recording that gives no features."""


class Hosted(Protocol):
    """A model made ready to serve, once for all sessions.

    ``make`` gives the door of one session, whose links are to the parties besides Alice; it must not share secret state
    between sessions.  :attr:`needs_dealer`: whether one of them is the dealer.
    """

    @property
    def terms(self) -> Terms: ...

    @property
    def needs_dealer(self) -> bool: ...

    def make(self, links: Mapping[str, Link]) -> BobAdapter: ...


@dataclass(frozen=True)
class OneBob:
    """:class:`Hosted` without a dealer: one Bob for all sessions, each of which is a process."""

    terms: Terms
    bob: BobAdapter
    needs_dealer = False

    def make(self, links: Mapping[str, Link]) -> BobAdapter:
        return self.bob


@dataclass(frozen=True)
class ModelSource:
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


#: Largest error of the logarithm of an analysis that the circuit computes, where it is approximated: 0.09 dB.
LOGARITHM_ERROR = 2e-2


@dataclass(frozen=True)
class LoweringOptions:
    """How a network is made ready for a protocol, where a paradigm does that ahead of serving.

    ``activation_error``: the largest error of each function that is approximated, None for the paradigm's own;
    ``output``: which of a network's results is meant, by key or index; ``weights``: whether Alice may know them;
    ``features_at``: whether Alice computes the features or the circuit does, from her samples.
    """

    activation_error: float | None = None
    output: str | int | tuple[str | int, ...] | None = None
    weights: Literal["secret", "public"] = "secret"
    features_at: Literal["alice", "circuit"] = "alice"

    def tolerance(self, default: float) -> float:
        """``activation_error``; where it is None, the logarithm's of samples, or else the paradigm's ``default``."""
        if self.activation_error is not None:
            return self.activation_error
        return LOGARITHM_ERROR if self.features_at == "circuit" else default

    def behind_analysis(self) -> LoweringOptions:
        """The same for a network that its analysis has already been put before, where the circuit computes that."""
        if self.features_at == "alice":
            return self
        return replace(self, activation_error=self.tolerance(LOGARITHM_ERROR), features_at="alice")


AS_DECLARED = LoweringOptions()


@dataclass(frozen=True)
class ClientCredentials:
    """What Alice brings herself: the folder with her key and front end, where the paradigm needs one.

    ``store`` as in :class:`ModelSource`.
    """

    folder: Path | None = None
    reveal: Reveal = "class"
    store: Path | None = None


class ServiceAdapter(Protocol):
    """What ``service.py`` of a paradigm offers."""

    def host(self, source: ModelSource) -> Hosted:
        """Load what Bob serves.  Raises one-line errors."""

    def front(self, own: ClientCredentials, terms: Terms | None) -> Front | None:
        """What Alice does with a recording; None where it is Bob's and ``terms`` are not known yet.

        Raises :class:`AdapterError` where it has to be her own and is not there.
        """

    def alice(self, own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> AliceAdapter:
        """Alice's door.  Raises one-line errors."""


class LoweringAdapter(Protocol):
    """What ``service.py`` offers besides, where its paradigm's declaration says ``lowers``."""

    def lower(self, folder: Path, options: LoweringOptions) -> None:
        """Make the network in Bob's folder ready and leave it there.  Raises one-line errors."""


def require_mode(modes: tuple[str, ...], mode: str) -> str:
    """``mode``, or the first of ``modes`` for an empty one.  Raises :class:`AdapterError`."""
    if mode and mode not in modes:
        raise AdapterError(
            "unknown-mode", f"'{mode[:40]}' is no mode of this paradigm: choose one of {', '.join(modes)}"
        )
    return mode or modes[0]


def published_front(terms: Terms) -> FrontEnd:
    """Bob's front end, for paradigms that hide the features from him; without one :class:`AdapterError`."""
    if terms.front is None:
        raise AdapterError("no-features", "bob's model does not say which features it takes: prepare it again")
    return terms.front
