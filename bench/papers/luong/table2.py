"""Table 2 and Figure 2 of Luong et al.: what source separation and adversarial learning hide, each alone and together.

Every column is trained anew in every run, with other recordings and voices held out; the figures are means over the
runs, with their standard deviation.  Beside the attacker that was trained after the sensor stands the discriminator of
the training itself, whose score is misleading: it is the one F was trained to defeat.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sotto.adversarial.learning.recipe import COLUMNS, Column, Preset, Recipe, recipe
from sotto.adversarial.learning.training import Epoch
from sotto.adversarial.sounds.divided_sounds import SOURCES, Material, open_material
from sotto.bench.papers.drawing import save
from sotto.bench.papers.luong.measurement import Measurement, measured
from sotto.bench.request import Request
from sotto.bench.rows.results import write_csv
from sotto.bench.rows.row import Row, Security

DESCRIPTION = "RDAL-M: event accuracy against speech detection by trained attackers (Luong et al., Table 2, Figure 2)"

_RUNS: Mapping[str, int] = {"quick": 3, "full": 10}

#: What a row and a line of ``runs.csv`` say of a run.
_FIGURES = tuple(
    name for name in Measurement.__struct_fields__ if name not in ("chosen", "by_architecture", "roc", "curve")
)

# Table 2: sound event detection accuracy, speech detection accuracy, AUC; SDR of M from §3.4.
_PUBLISHED: Mapping[Column, Mapping[str, float]] = {
    "supervised": {"event_accuracy": 0.84, "attack_accuracy": 0.79, "attack_auc": 0.88},
    "rdal": {"event_accuracy": 0.84, "attack_accuracy": 0.57, "attack_auc": 0.60},
    "masked-continuous": {"event_accuracy": 0.84, "attack_accuracy": 0.57, "attack_auc": 0.59, "sdr_db": 11.64},
    "masked-binary": {"event_accuracy": 0.84, "attack_accuracy": 0.75, "attack_auc": 0.83, "sdr_db": 11.13},
    "rdal-m-fixed-mask": {"event_accuracy": 0.86, "attack_accuracy": 0.50, "attack_auc": 0.50, "sdr_db": 11.72},
    "rdal-m-learnable-mask": {"event_accuracy": 0.84, "attack_accuracy": 0.55, "attack_auc": 0.58, "sdr_db": 3.45},
}

_SECURITY = Security(
    adversary="whoever sees z, knows the sensor and trains attackers on z of his own recordings",
    trusted="whoever trained the sensor; the recordings it was trained and attacked on",
    computational_bits=None,
    statistical_bits=None,
    leaks="the event, and all that z still tells: the attackers' AUC is a lower bound, nothing is proved",
    hides="partly",
)


@dataclass(frozen=True, eq=False)
class _Result:
    """All runs of one column."""

    recipe: Recipe
    runs: Sequence[Measurement]

    @property
    def name(self) -> str:
        return self.recipe.name


def run(request: Request) -> list[Row]:
    """Train, attack and measure all columns; write ROC curves, training curves and the figures of each run.

    Raises
    ------
    CorpusError
        the corpus is none with sound events, or is missing.
    """
    request.require_corpus(*SOURCES)
    preset: Preset = "full" if request.preset == "full" else "quick"
    recipes = _recipes(preset)
    measurements: dict[str, list[Measurement]] = {known.name: [] for known in recipes}
    material: Material | None = None
    for number in range(request.runs or _RUNS[preset]):
        seed = request.seed + number
        material = open_material(
            request.corpus, request.data, rate=recipes[0].rate, seed=seed, skip_broken=request.skip_broken
        )
        if number == 0:
            request.say(_described(material))
        for known in recipes:
            measurement = measured(material, known, seed=seed, folder=request.out / "checkpoints")
            measurements[known.name].append(measurement)
            request.say(f"run {number + 1}, {known.name}: {_summary(measurement)}")
            results = [_Result(one, measurements[one.name]) for one in recipes if measurements[one.name]]
            _write_runs(results, request.out / "runs.csv")
    if material is None:
        raise ValueError("at least one run is needed")
    _write_curves(results, request.out / "curves.csv")
    for path in [*_draw_roc(results, request.out), *_draw_curves(results, request.out)]:
        request.say(f"drew {path}")
    if material.notice:
        request.say(material.notice)
    return [_row(result, material, request.seed) for result in results]


def _recipes(preset: Preset) -> list[Recipe]:
    """The six columns; and the paper's method the other way: as published beside strengthened, or the reverse."""
    strengthened = preset == "quick"
    columns = [recipe(column, preset, strengthened=strengthened) for column in COLUMNS]
    return [*columns, recipe("rdal-m-fixed-mask", preset, strengthened=not strengthened)]


def _described(material: Material) -> str:
    sizes = ", ".join(f"{name} {len(part.events)}" for name, part in material.parts.items())
    return f"{material.name}: {', '.join(material.classes)}; events: {sizes}; each with and without speech in the test"


def _summary(measurement: Measurement) -> str:
    return (
        f"event accuracy {measurement.event_accuracy:.3f}, attacker's AUC {measurement.attack_auc:.3f} "
        f"(strongest {measurement.attack_auc_strongest:.3f})"
    )


def _row(result: _Result, material: Material, seed: int) -> Row:
    known = result.recipe
    metrics: dict[str, float | None] = {}
    for name in _FIGURES:
        values = [value for measurement in result.runs if (value := getattr(measurement, name)) is not None]
        if values:
            metrics[name] = float(np.mean(values))
            metrics[f"{name}_std"] = float(np.std(values, ddof=1)) if len(values) > 1 else None
    return Row(
        paradigm="adversarial",
        mode=known.name,
        model="rdal-m" if known.mask != "none" else "rdal",
        corpus=material.name,
        split=material.split,
        seed=seed,
        n_queries=2 * len(material["test"].events),
        parameters={
            "runs": len(result.runs),
            "strengthened": known.strengthened,
            "rate": known.rate,
            "epochs": known.epochs,
            "extractor": list(known.extractor),
            "separation": list(known.separation.filters) if known.mask != "none" else None,
            "lambda": known.strength if known.adversarial else None,
            "renew_every": known.renew_every if known.adversarial else None,
        },
        accuracy_plain=metrics.get("event_accuracy"),
        metrics=metrics,
        published=_PUBLISHED[known.column],
        security=_SECURITY,
    )


def _write_runs(results: Sequence[_Result], path: Path) -> None:
    """One line for each run and column, with the area of every architecture."""
    architectures = list(results[0].runs[0].by_architecture)
    lines = [
        [result.name, number, measurement.chosen]
        + [getattr(measurement, name) for name in _FIGURES]
        + [measurement.by_architecture[name] for name in architectures]
        for result in results
        for number, measurement in enumerate(result.runs, start=1)
    ]
    write_csv(path, ["column", "run", "chosen", *_FIGURES, *architectures], lines)


def _write_curves(results: Sequence[_Result], path: Path) -> None:
    """One line for each epoch."""
    lines = [
        [result.name, number, epoch, *msgspec.structs.astuple(values)]
        for result in results
        for number, measurement in enumerate(result.runs, start=1)
        for epoch, values in enumerate(measurement.curve, start=1)
    ]
    write_csv(path, ["column", "run", "epoch", *Epoch.__struct_fields__], lines)


def _draw_roc(results: Sequence[_Result], folder: Path) -> list[Path]:
    figure, axes = _axes("false positive rate", "true positive rate", "speech detection by fresh attackers")
    grid = np.linspace(0, 1, 101)
    for result in results:
        curves = np.stack([np.interp(grid, *measurement.roc) for measurement in result.runs])
        area = np.mean([measurement.attack_auc for measurement in result.runs])
        axes.plot(grid, curves.mean(axis=0), label=f"{result.name}, AUC {area:.2f}")
        axes.fill_between(grid, curves.min(axis=0), curves.max(axis=0), alpha=0.12)
    axes.plot([0, 1], [0, 1], "k:", linewidth=1)
    axes.legend(fontsize=7, loc="lower right")
    return save(figure, folder / "roc")


def _draw_curves(results: Sequence[_Result], folder: Path) -> list[Path]:
    figure, axes = _axes("epoch", "accuracy in the training loop", "event (solid), speech by D (dashed, misleading)")
    for place, result in enumerate(results):
        curve = result.runs[0].curve
        epochs = range(1, len(curve) + 1)
        axes.plot(epochs, [epoch.event_accuracy for epoch in curve], f"C{place}", label=result.name)
        if result.recipe.adversarial:
            axes.plot(epochs, [epoch.speech_accuracy for epoch in curve], f"C{place}--")
    axes.legend(fontsize=7, loc="lower right")
    return save(figure, folder / "curves")


def _axes(x: str, y: str, title: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel=x, ylabel=y, title=title)
    return figure, axes
