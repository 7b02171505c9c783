"""Writing figures of the reproductions."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from sotto.link.storage import partial_path


def save(figure: Figure, stem: Path, *kinds: str) -> list[Path]:
    """Write ``stem``.png and ``stem``.svg, or only the ``kinds`` named, each whole or not at all; returns the paths."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in kinds or ("png", "svg")]
    for path in paths:
        kind, partial = path.suffix[1:], partial_path(path)
        try:
            figure.savefig(partial, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return paths
