"""What a service writes down: one line for each event, as text or as JSON; no secret, no query, no answer, no audio.

Clients are named by their certificates, sessions by a running number.  Free text comes from
:func:`sotto.serving.service.sessions.reason_of` alone.
"""

from __future__ import annotations

import datetime
import json
import sys
from typing import Literal, TextIO

Level = Literal["info", "warning", "error"]
Format = Literal["text", "json"]
Value = str | int | float | bool


class Journal:
    """Lines about one party on ``stream``; every line is written whole and flushed."""

    def __init__(self, party: str, form: Format = "text", stream: TextIO | None = None) -> None:
        self._party = party
        self._form = form
        self._stream = stream or sys.stderr

    def note(self, event: str, *, level: Level = "info", **fields: Value) -> None:
        """One event.  ``event`` is a fixed word with dots, as ``session.opened``."""
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in fields.items()}
        if self._form == "json":
            line = json.dumps({"time": now, "level": level, "party": self._party, "event": event, **rounded})
        else:
            shown = " ".join(f"{key}={_quoted(value)}" for key, value in rounded.items())
            mark = "" if level == "info" else f"{level}: "
            line = f"{now} {self._party} {mark}{event} {shown}".rstrip()
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass  # a full disk or a closed terminal must not end a service


def _quoted(value: Value) -> str:
    text = str(value)
    return json.dumps(text) if not text or any(letter in text for letter in ' "=') else text
