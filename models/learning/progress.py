"""A bar on standard error for trainings that take more than two seconds."""

from __future__ import annotations

import sys

from tqdm import tqdm


def epoch_bar(epochs: int, label: str, *, done: int = 0, progress: bool = True) -> tqdm:
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
