"""How far off are the logits that `he` shows?  Test clips asked one by one, in one session that reveals logits.

What a logit is off by is the encryption's error and half a step of Alice's rounding;
``largest_error_planned`` is what Bob's plan allows both together (:class:`sotto.he.planning.calibration.Precision`).
The class is that of the unrounded logits, as in a session that reveals no more.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from sotto.bench.experiment import Configuration, Experiment
from sotto.bench.parties.parties import Parties
from sotto.bench.request import Request
from sotto.bench.rows.machine import machine, software
from sotto.bench.rows.row import Interval, Row
from sotto.bench.suite import build
from sotto.bench.workbench import Workbench
from sotto.link import BadValue

DESCRIPTION = "largest error of a logit that he shows, and its classes, clip by clip (quick: 64 test clips, full: all)"

MODELS = ("frames-poly2", "depinto-poly2")
_SAID_EVERY = 10  # clips


def run(request: Request) -> Iterator[Row]:
    """A row for each network, trained by its quick recipe."""
    bench = request.open_workbench(preset="quick")  # of the training, which does not matter here
    for model in MODELS:
        experiment = build(Configuration("he", "packed", model, {}), bench)
        count = bench.clips if request.preset == "quick" else len(experiment.queries)
        chosen = np.random.default_rng(request.seed).permutation(len(experiment.queries))[:count]
        yield _asked(experiment, bench, chosen)


def _asked(experiment: Experiment, bench: Workbench, chosen: npt.NDArray[np.int64]) -> Row:
    """What the parties answer about the chosen test clips, beside the plaintext network."""
    queries, truth = experiment.queries[chosen], experiment.truth[chosen]
    plain, logits = experiment.plain(queries)
    if experiment.score_parts is None or logits is None:
        raise BadValue("no-scores", "he offers no logits to compare")
    labels, errors = [], []
    with Parties([experiment.score_parts], timeout=experiment.plan.timeout) as parties:
        parties.prepare()
        for number, (query, expected) in enumerate(zip(queries, logits, strict=True), 1):
            asked = parties.ask(query[None])
            if asked.scores is None:
                raise BadValue("no-scores", "the session that reveals scores revealed none")
            labels.append(asked.labels[0])
            errors.append(float(np.abs(asked.scores[0] - expected).max()))
            if number % _SAID_EVERY == 0:
                agreeing = int((np.array(labels) == plain[:number]).sum())
                bench.say(
                    f"{experiment.cell}: {number} of {len(queries)} clips, largest error {max(errors):.2e},"
                    f" {agreeing} of the plaintext's class"
                )
        parties.end_session()
        reports = parties.finish()
    private = np.array(labels)
    right = int((private == truth).sum())
    return Row(
        paradigm=experiment.cell.paradigm,
        mode=experiment.cell.mode,
        model=experiment.cell.model,
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        n_queries=len(queries),
        features_at=experiment.features_at,
        accuracy_plain=float(np.mean(plain == truth)),
        accuracy_private=right / len(queries),
        accuracy_interval=Interval.of(right, len(queries)),
        accuracy_loss=float(np.mean(plain == truth)) - right / len(queries),
        agreement=float(np.mean(private == plain)),
        max_abs_error=max(errors),
        metrics={
            **experiment.extra,
            "median_error": float(np.median(errors)),
            **{f"{role}_rss_mb": round(report.peak_rss_mb, 1) for role, report in reports.items()},
        },
        peak_rss_mb=round(max(report.peak_rss_mb for report in reports.values()), 1),
        security=experiment.security,
        software=software(),
        machine=machine(),
    )
