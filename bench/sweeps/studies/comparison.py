"""Whole experiments, with their party processes: the rows of ``sotto bench`` over networks and repetitions.

Timings are of parties that share the machine with the other workers' parties: compare them only in sweeps of one
worker (``--executor serial``), or where every worker has cores of its own.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.experiment import run as run_experiment
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.suite import build, cells
from sotto.bench.sweeps.studies.axes import Axis
from sotto.bench.workbench import Workbench
from sotto.link import SHAPES

DESCRIPTION = "whole experiments: every cell of the comparison, with its processes, over networks and repetitions"
MODULES: tuple[str, ...] = tuple(
    f"sotto.{name}" for name in ("adversarial", "bench", "hashing", "he", "keyed", "link", "mpc")
)


def axes(preset: str) -> Mapping[str, Axis]:
    """What varies."""
    usable = [name for name, paradigm in EXPERIMENTS.items() if paradigm.missing() is None]
    names = tuple(str(cell) for cell in cells(usable, preset))
    return {
        "cell": Axis(names, "paradigm, mode, model and parameters", names),
        "net": Axis(("loopback",), "network between the parties", tuple(SHAPES)),
        "repetition": Axis((0,), "the same again", repeats=True),
    }


def prepare(bench: Workbench) -> None:
    """Every cell prepares its own."""


def run(bench: Workbench, parameters: Mapping[str, JSONValue]) -> Row:
    """One cell's experiment."""
    cell = next(cell for cell in cells(list(EXPERIMENTS), bench.preset) if str(cell) == parameters["cell"])
    row = run_experiment(
        build(cell, bench),
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        net=str(parameters["net"]),
        say=bench.say,
    )
    return msgspec.structs.replace(row, parameters={**row.parameters, **parameters})
