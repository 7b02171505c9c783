"""A user's own model in every paradigm that can run it, one row each; for each other paradigm, why not."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sotto.bench.experiment import Configuration, Say, run
from sotto.bench.own_model import Given, NotRunnable, adapter
from sotto.bench.rows.row import FeaturesAt, JSONValue, Row
from sotto.bench.suite import Failure, LeftOut
from sotto.serving import registry


@dataclass(frozen=True)
class Examples:
    """What is asked: ``queries`` (n, …) float32 as the model takes them, and their classes ``truth`` (n,) int64.

    ``corpus`` and ``split`` say in the rows where they are from, ``parameters`` what else belongs there,
    ``features_at`` as in :class:`sotto.bench.rows.row.Row`.
    """

    queries: npt.NDArray[np.float32] = field(repr=False)
    truth: npt.NDArray[np.int64] = field(repr=False)
    corpus: str = "own examples"
    split: str = "as given"
    seed: int = 0
    parameters: Mapping[str, JSONValue] = field(default_factory=dict)
    features_at: FeaturesAt = "none"


def compare_own(
    model: Any,
    name: str,
    examples: Examples,
    paradigms: Sequence[str],
    given: Callable[[Path, str], Given],
    *,
    nets: Sequence[str] = ("loopback",),
    singles: int = 20,
    most: int = 10**9,
    say: Say,
) -> Iterator[Row | LeftOut | Failure]:
    """Run a model called ``name`` in ``paradigms``, each as ``PARADIGM`` or ``PARADIGM/MODE``, on every net.

    ``most`` examples are asked at most, ``singles`` of them one by one.

    ``given(folder, mode)`` is what there is besides the model.  A paradigm that fails while it runs gives a
    :class:`sotto.bench.suite.Failure`; the others go on.  No attacker is run: those of ``sotto attack`` need recordings
    of speakers that they know.
    """
    for wanted in paradigms:
        paradigm, _, mode = wanted.partition("/")
        with tempfile.TemporaryDirectory(prefix="sotto-") as folder:
            try:
                wish = given(Path(folder), mode)
                declared = registry.paradigm(paradigm)
                if wish.lowering.features_at == "circuit" and not declared.lowers:
                    raise NotRunnable("option-not-taken", declared.why_no_circuit)
                own = adapter(paradigm).own(model, wish)
            except ValueError as error:
                yield LeftOut(wanted, " ".join(str(error).split()))
                continue
            cell = Configuration(paradigm, own.mode, name, examples.parameters)
            experiment = own.experiment(cell, examples.queries, examples.truth, singles, most)
            experiment = replace(experiment, features_at=examples.features_at)
            try:
                for net in nets:
                    yield run(
                        experiment,
                        corpus=examples.corpus,
                        split=examples.split,
                        seed=examples.seed,
                        net=net,
                        say=say,
                    )
            except Exception as error:  # whatever it is, the other paradigms' rows are not to be lost for it
                say(f"{cell} failed: {error}")
                yield Failure(cell, error)
