"""What an attack says when it cannot be run."""

from __future__ import annotations


class AttackError(ValueError):
    """The clips do not allow this attack; one line that says why."""
