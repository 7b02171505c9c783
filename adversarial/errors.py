"""What can go wrong here, one line each."""

from __future__ import annotations

from sotto.link import Coded


class AdversarialError(Coded, ValueError):
    """Anything of this package that the caller can put right."""


class WrongShapeError(AdversarialError):
    """Segments or representations that do not fit the model."""


class AttackError(AdversarialError):
    """The clips do not allow this attack."""
