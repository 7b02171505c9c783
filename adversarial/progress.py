"""A bar on standard error for trainings that take more than two seconds."""

from __future__ import annotations

import sys

from tqdm import tqdm


def bar(epochs: int, done: int, label: str, progress: bool) -> tqdm:
    """A bar over epochs, of which ``done`` were done before."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=epochs,
        initial=done,
        desc=label,
        unit="epoch",
        file=sys.stderr,
        disable=not progress,
        delay=2.0,
        mininterval=0.1 if terminal else 10.0,
        leave=terminal,
    )
