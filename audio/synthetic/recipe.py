"""What the sound of the synthetic corpus depends on, and the digest by which its files are recognised."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path
from typing import Any

FORMAT = "sotto-synthetic"
RECIPE = 1
"""Raised when the same seed begins to mean other sound."""

_LIBRARIES = ("espeakng-loader", "numpy", "scipy", "soundfile", "soxr")


def recipe(seed: int, sentences: int | None = None) -> dict[str, Any]:
    """Everything the sound depends on, as plain JSON; ``sentences``: how many of them, None for all."""
    some = {} if sentences is None else {"sentences": sentences}
    return {"format": FORMAT, "recipe": RECIPE, "seed": seed, **some, "software": {n: version(n) for n in _LIBRARIES}}


def digest(path: Path) -> str:
    """BLAKE2b-128 of a file, as the manifest records it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
