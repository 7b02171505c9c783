"""Which services an experiment on load and faults runs: each paradigm in its main modes, prepared for real.

The models are the smallest that `sotto prepare` offers, and the question is one clip of the test split.  With
``SOTTO_CELLS`` (such as ``mpc/malicious,he/packed``) an experiment is confined to these, so that a long one can be
split among processes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sotto.bench import preparing
from sotto.bench.operations.parties.services import Deployment
from sotto.bench.rows.row import JSONValue, Row
from sotto.serving import registry
from sotto.serving.adapters import ClientCredentials
from sotto.serving.terms import read_terms

if TYPE_CHECKING:
    from sotto.bench.request import Request


@dataclass(frozen=True)
class ServedConfiguration:
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

    def row(
        self,
        request: Request,
        model: str,
        n_queries: int,
        parameters: Mapping[str, JSONValue],
        metrics: Mapping[str, float | None],
    ) -> Row:
        """A row of figures of this service; ``model`` is what the row is about."""
        return Row(
            paradigm=self.paradigm, mode=self.mode, model=model, corpus=request.corpus, seed=request.seed,
            n_queries=n_queries, parameters=parameters, metrics=metrics,
        )  # fmt: skip


CONFIGURATIONS = (
    ServedConfiguration("mpc", "malicious", "depinto"),
    ServedConfiguration("mpc", "semi-honest", "depinto"),
    ServedConfiguration("mpc", "two-party", "depinto"),
    ServedConfiguration("mpc", "crypten", "depinto"),
    ServedConfiguration("he", "packed"),
    ServedConfiguration("he", "batched", slow=True),
    ServedConfiguration("hashing", "smh"),
    ServedConfiguration("keyed", "encrypted", key="shuffling"),
    ServedConfiguration("adversarial", "representation", "baseline"),
)


@dataclass(frozen=True)
class Prepared:
    """A configuration ready to be served: each party's folder, and a question (1, …) float32."""

    config: ServedConfiguration
    bob: Path
    alice: Path
    features: npt.NDArray[np.float32]

    def deployed(self, **options: Any) -> Deployment:
        """Its services, not yet started; ``options`` are those of :class:`Deployment`."""
        return Deployment(self.config.paradigm, self.config.mode, self.bob, self.alice, **options)


def confined(names: Sequence[str]) -> list[str]:
    """Those of ``names`` that ``SOTTO_CELLS`` has, in its order, or all.

    Raises :class:`sotto.bench.preparing.PreparationError` for a name that is none.
    """
    wanted = [name.strip() for name in os.environ.get("SOTTO_CELLS", "").split(",") if name.strip()]
    for name in wanted:
        if name not in names:
            raise preparing.PreparationError(
                "unknown-cell", f"SOTTO_CELLS: '{name[:40]}' is none of {', '.join(names)}"
            )
    return wanted or list(names)


def chosen() -> tuple[ServedConfiguration, ...]:
    """All, or those that ``SOTTO_CELLS`` names."""
    known = {str(config): config for config in CONFIGURATIONS}
    return tuple(known[name] for name in confined(list(known)))


def prepared(request: Request) -> Iterator[Prepared]:
    """Every configuration :func:`chosen`, one after another; models that were trained once come from the cache."""
    bench = request.open_workbench(preset="quick")
    clip = bench.corpus[bench.split.test[0]]
    for config in chosen():
        out = bench.folder / f"{config.paradigm}-{config.mode}"
        folders = preparing.prepare(config.paradigm, config.key or config.mode, config.model, "class", bench, out)
        terms = read_terms(folders.alice)
        if terms is None:
            raise preparing.PreparationError("no-terms", f"{folders.alice}: has no terms")
        front = registry.service(config.paradigm).front(ClientCredentials(folders.alice), terms)
        if front is None:
            raise preparing.PreparationError("no-front-end", f"{folders.alice}: has no front end")
        yield Prepared(config, folders.bob, folders.alice, front.compute(clip))
