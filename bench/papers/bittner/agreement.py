"""Do private answers come out as they should?  Every clip asked in class and in logits, against two plaintext models.

*Fixed point*: the same network in whole numbers (:mod:`sotto.mpc.protocols.semi_honest.fixed_point_model`), from which
the protocols may differ by one unit in the last place at each gate.  *Float*: the network as it was trained, from which
they differ by rounding too.  A class that differs is put down to rounding only where the plaintext model's margin
between the two classes is smaller than what its logits were measured to move for this very clip; ``disagreements.csv``
lists each one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

import numpy as np
import numpy.typing as npt

from sotto import mpc
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model
from sotto.bench.experiment import Configuration
from sotto.bench.parties.parties import Parties
from sotto.bench.parties.party import PartySpec
from sotto.bench.request import Request
from sotto.bench.rows.results import write_csv
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.models.learning.recipes import DEPINTO, FRAMES_QUICK
from sotto.mpc.experiment import SECURITY
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel

DESCRIPTION = "private classes against the plaintext models', clip by clip (quick: 96 clips, full: all)"

MODES = tuple(mode for mode in get_args(mpc.Mode) if mode != "crypten")
_BATCH = 16
_QUICK_CLIPS = 96

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Disagreement:
    """One clip with another class: classes by name, the plaintext margin between them, how far the logits moved."""

    COLUMNS: ClassVar = ("model", "mode", "clip", "against", "private", "plain", "margin", "logits_moved", "cause")

    model: str
    mode: str
    clip: str
    against: str
    private: str
    plain: str
    margin: float
    moved: float

    @property
    def rounding(self) -> bool:
        """Whether what the logits moved can turn the class: each of the two by ``moved`` at most."""
        return self.margin <= 2 * self.moved

    @property
    def line(self) -> tuple[str, ...]:
        """Of the table, under :data:`COLUMNS`."""
        cause = "rounding" if self.rounding else "not explained"
        names = (self.model, self.mode, self.clip, self.against, self.private, self.plain)
        return (*names, f"{self.margin:.3e}", f"{self.moved:.3e}", cause)


def run(request: Request) -> list[Row]:
    """A row for each network and mode."""
    bench = request.open_workbench(preset="quick")  # of the training, which does not matter here
    rows: list[Row] = []
    disagreements: list[Disagreement] = []
    clips = np.random.default_rng(request.seed).permutation(len(bench.corpus))
    clips = np.sort(clips[:_QUICK_CLIPS] if request.preset == "quick" else clips)
    for model, recipe in (("depinto", DEPINTO), ("frames", FRAMES_QUICK)):
        emotion = emotion_model(recipe, bench)
        for mode in MODES:
            row, differing = _compared(model, mode, emotion, bench, clips)
            rows.append(row)
            disagreements += differing
            bench.say(f"{mode} {model}: {row.n_queries} clips, {len(differing)} disagreements")
    for each in disagreements:
        cause = "rounding" if each.rounding else "NOT EXPLAINED by rounding"
        bench.say(f"{each.mode} {each.model} {each.clip}: {each.private}, {each.against} says {each.plain}: {cause}")
    write_csv(request.out / "disagreements.csv", Disagreement.COLUMNS, [each.line for each in disagreements])
    return rows


def _compared(
    model: str, mode: mpc.Mode, emotion: EmotionModel, bench: Workbench, chosen: npt.NDArray[np.int64]
) -> tuple[Row, list[Disagreement]]:
    queries = emotion.queries[chosen]
    built = EXPERIMENTS["mpc"].build(Configuration("mpc", mode, model, {}), bench)
    if built.score_parts is None:
        raise ValueError("mpc offers no logits to compare")
    private, scores = _asked([built.parts, built.score_parts], queries, built.plan.timeout)
    shape = queries.shape[1:]
    fixed = FixedPointModel.of(emotion.module, shape).answer(queries).labels
    exact = FixedPointModel.of(emotion.module, shape, reveal="logits").answer(queries).scores
    if exact is None:
        raise ValueError("the fixed-point model gave no logits")
    labels, floating = emotion.plain(queries)
    disagreements = []
    for against, plain, logits in (("fixed point", fixed, exact), ("float", labels, floating)):
        moved = np.abs(scores - logits).max(axis=1)
        for i in np.flatnonzero(private != plain):
            margin = float(logits[i, plain[i]] - logits[i, private[i]])
            names = (bench.classes[private[i]], bench.classes[plain[i]])
            clip = bench.corpus[int(chosen[i])].id
            disagreements.append(Disagreement(model, mode, clip, against, *names, margin, float(moved[i])))
    metrics = {
        "agreement_with_fixed_point": float(np.mean(private == fixed)),
        "agreement_with_float": float(np.mean(private == labels)),
        "agreement_of_fixed_point_with_float": float(np.mean(fixed == labels)),
        "agreement_of_class_with_logits": float(np.mean(private == scores.argmax(axis=1))),
        "disagreements_with_fixed_point": float(sum(each.against == "fixed point" for each in disagreements)),
        "disagreements_with_float": float(sum(each.against == "float" for each in disagreements)),
        "disagreements_not_explained": float(sum(not each.rounding for each in disagreements)),
        "largest_units_from_fixed_point": float(np.abs(scores - exact).max() * 2**FRACTION_BITS),
        "largest_error_of_fixed_point": float(np.abs(exact - floating).max()),
        "smallest_float_margin": float(np.diff(np.sort(floating, axis=1)[:, -2:]).min()),
    }
    truth = bench.targets[chosen]
    row = Row(
        paradigm="mpc",
        mode=mode,
        model=model,
        corpus=bench.corpus.name,
        split=f"{bench.split.name}, all parts",
        seed=bench.seed,
        n_queries=len(queries),
        parameters={"batch": _BATCH},
        accuracy_plain=float(np.mean(labels == truth)),
        accuracy_private=float(np.mean(private == truth)),
        agreement=metrics["agreement_with_float"],
        max_abs_error=float(np.abs(scores - floating).max()),
        metrics=metrics,
        security=SECURITY[mode],
    )
    return row, disagreements


def _asked(
    sessions: list[Mapping[str, PartySpec]], queries: npt.NDArray[np.float32], timeout: float
) -> tuple[Labels, Scores]:
    """The class of every query from a session that reveals no more, and the logits from one that does."""
    labels, scores = [], []
    with Parties(sessions, timeout=timeout) as parties:
        for kind in ("class", "logits"):
            parties.prepare()
            for start in range(0, len(queries), _BATCH):
                asked = parties.ask(queries[start : start + _BATCH])
                if kind == "class":
                    labels.append(asked.labels)
                elif asked.scores is not None:
                    scores.append(asked.scores)
            parties.end_session()
        parties.finish()
    return np.concatenate(labels), np.concatenate(scores)
