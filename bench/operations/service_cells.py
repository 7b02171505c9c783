"""Which services an experiment on load and faults runs: each paradigm in its main modes, prepared for real.

The models are the smallest that `sotto prepare` offers, and the question is one clip of the test split.  With
``SOTTO_CELLS`` (such as ``mpc/malicious,he/packed``) an experiment is confined to these, so that a long one can be
split among processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sotto.bench import preparing
from sotto.serving.doors import Own, paradigm
from sotto.serving.terms import read_terms

if TYPE_CHECKING:
    from sotto.bench.request import Request


@dataclass(frozen=True)
class Cell:
    """A paradigm in a mode of its door, with the model and the key type that are prepared for it.

    ``slow``: a query takes seconds, so experiments ask fewer.
    """

    paradigm: str
    mode: str
    model: str = ""
    key: str = ""
    slow: bool = False

    def __str__(self) -> str:
        return f"{self.paradigm}/{self.mode}"


CELLS = (
    Cell("mpc", "malicious", "depinto"),
    Cell("mpc", "semi-honest", "depinto"),
    Cell("mpc", "two-party", "depinto"),
    Cell("mpc", "crypten", "depinto"),
    Cell("he", "packed"),
    Cell("he", "batched", slow=True),
    Cell("hashing", "smh"),
    Cell("keyed", "encrypted", key="shuffling"),
    Cell("adversarial", "representation", "baseline"),
)


@dataclass(frozen=True)
class Prepared:
    """A cell ready to be served: each party's folder, and a question (1, …) float32."""

    cell: Cell
    bob: Path
    alice: Path
    features: npt.NDArray[np.float32]


def chosen() -> tuple[Cell, ...]:
    """All cells, or those that ``SOTTO_CELLS`` names.  Raises :class:`PreparationError` for a name that is none."""
    names = [name.strip() for name in os.environ.get("SOTTO_CELLS", "").split(",") if name.strip()]
    known = {str(cell): cell for cell in CELLS}
    for name in names:
        if name not in known:
            raise preparing.PreparationError(f"SOTTO_CELLS: '{name[:40]}' is none of {', '.join(known)}")
    return tuple(known[name] for name in names) or CELLS


def prepared(request: Request) -> Iterator[Prepared]:
    """Every cell that is :func:`chosen`, one after another; models come from the cache where they once were trained."""
    bench = request.open_workbench(preset="quick")
    clip = bench.corpus[bench.split.test[0]]
    for cell in chosen():
        out = bench.folder / f"{cell.paradigm}-{cell.mode}"
        folders = preparing.prepare(cell.paradigm, cell.key or cell.mode, cell.model, "class", bench, out)
        terms = read_terms(folders.alice)
        if terms is None:
            raise preparing.PreparationError(f"{folders.alice}: has no terms")
        front = paradigm(cell.paradigm).front(Own(folders.alice), terms)
        yield Prepared(cell, folders.bob, folders.alice, front.compute(clip))
