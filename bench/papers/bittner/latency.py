"""Latency of private emotion recognition: every mode of `mpc` in one run, beside the paper.

Source: Bittner, De Cock, Dowsley, "Private speech classification with secure multiparty computation", whose network is
not stated; so two are measured, `frames` also with the pooled head of our recipe.  The modes' queries take turns:
whatever else the machine does meanwhile slows all of them alike, and it is their ratios that carry over to another
machine.  The processes of all modes stand during the run, one query runs at a time, one thread a party.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import msgspec
import numpy as np
import numpy.typing as npt

from sotto import mpc
from sotto.audio import read
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.emotion.emotion_models import emotion_model
from sotto.bench.experiment import Configuration, Experiment, Plan, run_side_by_side
from sotto.bench.papers.bittner.table_networks import TableNetwork, relu_count
from sotto.bench.request import Request
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.suite import require
from sotto.bench.workbench import Workbench
from sotto.models import Normalisation
from sotto.models.learning.recipes import DEPINTO, FRAMES_QUICK, Recipe
from sotto.models.learning.training import Schedule, predict, train
from sotto.mpc.experiment import SECURITY

DESCRIPTION = "latency of all mpc modes in one run, stock CrypTen among them, beside the paper (full: lan and wan too)"

_REFERENCE = "crypten"
_SINGLES = {"quick": {"loopback": 40}, "full": {"loopback": 100, "lan": 60, "wan": 30}}
_BATCH = 16
_SCHEDULE = Schedule(epochs=25, batch=32, rate=1e-3, weight_decay=1e-2, average=0.98, patience=None)

_PAPER: Mapping[str, float] = {"semi-honest": 300.0, "malicious": 1600.0}


@dataclass(frozen=True, eq=False)
class _Network:
    """A network to measure: an experiment for each mode, and how many ReLU one example passes."""

    experiments: Sequence[Experiment]
    relus: int


def run(request: Request) -> Iterator[Row]:
    """One row for each network, link and mode."""
    require(["mpc"])
    bench = request.open_workbench(preset="quick")  # of the training, which does not matter here
    networks = [
        _of_recipe("depinto", DEPINTO, bench, {}),
        _table_frames(bench),
        _of_recipe("frames", FRAMES_QUICK, bench, {"head": "pooled"}),
    ]
    for net, singles in _SINGLES[request.preset].items():
        for network in networks[: None if net == "loopback" else 2]:  # the third differs from the second in its head
            measured = _measured(network, bench, net, singles)
            bench.say(f"{net}: {', '.join(_summary(row) for row in measured)}")
            yield from measured


def _summary(row: Row) -> str:
    return f"{row.mode} {row.online_ms.median:.2f} ms" if row.online_ms else row.mode


def _measured(network: _Network, bench: Workbench, net: str, singles: int) -> list[Row]:
    batches = 2 if net == "loopback" else 0
    plan = Plan(singles=singles, batch=_BATCH, clips=singles + batches * _BATCH, warm_up=3)
    rows = run_side_by_side(
        [replace(experiment, plan=plan) for experiment in network.experiments],
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        net=net,
        say=bench.say,
    )
    return [_beside_the_others(row, rows, network.relus) for row in rows]


def _beside_the_others(row: Row, rows: Sequence[Row], relus: int) -> Row:
    """``row`` with its ratio to CrypTen's in the same run, its totals, and the paper's figure."""
    metrics = {**row.metrics, "relus": float(relus)}
    reference = next(each for each in rows if each.mode == _REFERENCE)
    if row.online_ms and reference.online_ms and row is not reference:
        metrics["times_faster_than_crypten"] = reference.online_ms.median / row.online_ms.median
    if row.bytes:
        metrics["online_bytes"] = float(row.bytes.alice + row.bytes.bob + (row.bytes.dealer or 0))
    offline = [metrics.get(f"offline_bytes_{role}") for role in ("alice", "bob", "dealer")]
    if any(offline):
        metrics["offline_bytes"] = sum(count or 0.0 for count in offline)
    if busy := metrics.get("offline_busy_ms_dealer"):
        metrics["dealer_queries_per_second"] = 1000 / busy  # that one of his cores sustains
    if row.key_bytes is not None:
        metrics["key_bytes_per_relu"] = row.key_bytes / relus
    published: dict[str, float | None] = {"online_ms": _PAPER[row.mode]} if row.mode in _PAPER else {}
    return msgspec.structs.replace(row, metrics=metrics, published=published)


def _of_recipe(model: str, recipe: Recipe, bench: Workbench, parameters: Mapping[str, JSONValue]) -> _Network:
    """The network of the comparison itself."""
    emotion = emotion_model(recipe, bench)
    experiments = []
    for mode in get_args(mpc.Mode):
        built = EXPERIMENTS["mpc"].build(Configuration("mpc", mode, model, {}), bench)
        experiments.append(replace(built, cell=replace(built.cell, parameters=parameters), attacks={}))
    return _Network(experiments, relu_count(emotion.module, emotion.queries.shape[1:]))


def _table_frames(bench: Workbench) -> _Network:
    """`frames` with the wide last layer that the competing systems were measured on, trained briefly."""
    network = TableNetwork("frames", classes=len(bench.classes))
    spec = FRAMES_QUICK.features
    features = bench.features(spec)
    training = [*bench.split.train, *bench.split.validation]
    normalisation = Normalisation.standard(features[training])
    queries = normalisation.transform(features)
    module = train(
        network.build,
        queries,
        bench.targets,
        speakers=bench.speakers,
        training=training,
        schedule=_SCHEDULE,
        seed=bench.seed,
        label=f"{bench.corpus.name} frames with a flat head",
    ).module
    experiments = [
        Experiment(
            cell=Configuration("mpc", mode, "frames", {"head": "flat"}),
            parts=network.parts(module, mode, "class"),
            score_parts=network.parts(module, mode, "logits"),
            queries=bench.part(queries, "test"),
            truth=bench.part(bench.targets, "test"),
            query=lambda clip: normalisation.transform(spec.compute(read(clip, spec.sample_rate))[None]),
            plain=lambda asked: _plain(predict(module, asked)),
            security=SECURITY[mode],
            plan=Plan(singles=0, batch=0, clips=0),
        )
        for mode in get_args(mpc.Mode)
    ]
    return _Network(experiments, relu_count(module, network.input_shape))


def _plain(scores: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    return scores.argmax(1).astype(np.int64), scores
