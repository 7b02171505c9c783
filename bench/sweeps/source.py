"""Which code this is: a digest of the source files that a study's figures come from.

Results of other code must not be mixed into a table.  What is digested is the text, not a version number somebody has
to remember to raise; the libraries whose numerics matter are named with their versions.
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sotto.bench.rows.machine import software

_UNDER_EVERY_STUDY = ("sotto.audio", "sotto.models")


@cache
def source_digest(modules: Sequence[str]) -> str:
    """32 hex digits for the Python source of ``modules`` (packages with all they hold), of audio, and of models."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted({*modules, *_UNDER_EVERY_STUDY}):
        for place, path in _files(name):
            content = path.read_bytes()
            digest.update(f"{name}/{place} {len(content)}\n".encode())
            digest.update(content)
    digest.update(repr(sorted(software().items())).encode())
    return digest.hexdigest()


def _files(module: str) -> list[tuple[str, Path]]:
    """Every source file with its place inside the module, which is the same wherever the module is installed."""
    found = importlib.import_module(module)
    if hasattr(found, "__path__"):
        folders = map(Path, found.__path__)
        return sorted(
            (path.relative_to(folder).as_posix(), path) for folder in folders for path in folder.rglob("*.py")
        )
    path = Path(str(found.__file__))
    return [(path.name, path)]
