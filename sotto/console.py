"""Where the commands speak: progress and remarks on standard error, results on standard output."""

from __future__ import annotations

import contextlib
import json
import logging
import sys

from rich.console import Console
from rich.markup import escape

__all__ = ["err", "escape", "listen_to_packages", "out", "say", "write_json"]

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def say(line: str) -> None:
    """One line of progress, above the bars if there are any."""
    bars = sys.modules.get("tqdm")  # not imported for this: who shows a bar has it
    with bars.tqdm.external_write_mode(file=sys.stderr) if bars else contextlib.nullcontext():
        err.print(f"[dim]·[/dim] {escape(line)}", soft_wrap=True)


def write_json(value: object) -> None:
    """A result as JSON on standard output."""
    sys.stdout.write(json.dumps(value, indent=1) + "\n")


class _ToConsole(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def listen_to_packages() -> None:
    """Show what the packages log for the user: reused caches, skipped clips."""
    logger = logging.getLogger("sotto")
    if not any(isinstance(handler, _ToConsole) for handler in logger.handlers):
        logger.addHandler(_ToConsole(logging.INFO))
        logger.setLevel(logging.INFO)
        logger.propagate = False
