"""Attackers who want a yes or a no out of z, trained to win.

The attacker is the paper's (section 3.4): a new classifier trained on the representations of the finished extractor,
here one of each architecture of :mod:`sotto.adversarial.attacks.classifiers`, and all of them voting.  Which one he
uses is decided by cross-validation on his own clips, never on those he is judged by: he is as strong as a real one, and
not lucky.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from sotto.adversarial.attacks.classifiers import ARCHITECTURES, FEWEST, Floats, fitting, fresh, scores
from sotto.adversarial.errors import AttackError

VOTE = "vote"
"""The name of the attacker that averages all architectures."""
_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Detection:
    """What the attackers reached on clips of recordings and speakers they had not met.

    Attributes
    ----------
    auc
        area under the ROC curve of the attacker that cross-validation chose; 0.5 is a random guess.
    accuracy
        his share of right answers, with a threshold that was also chosen on his own clips, as if half of
        all clips were of either answer.
    by_architecture
        the area of every attacker on the same test clips, ``vote`` (all together) among them.
    validation
        the area of every attacker in cross-validation on his own clips.
    roc
        false and true positive rates (2, points) of the chosen attacker.
    chosen
        his architecture.
    chance
        share of the more frequent answer among the test clips, what ``accuracy`` is without looking at z.
    scores, truth
        (n,) what the chosen attacker made of every test clip, and the right answer.
    """

    auc: float
    accuracy: float
    by_architecture: Mapping[str, float]
    validation: Mapping[str, float]
    roc: Floats
    chosen: str
    chance: float
    scores: Floats
    truth: npt.NDArray[np.bool_]

    @property
    def strongest(self) -> float:
        """The best area any architecture had on the test clips: no attacker can know which one that will be."""
        return max(self.by_architecture.values())

    def auc_of_several(self, clips: int, *, seed: int, trials: int = 2000) -> float:
        """The area when he is told of ``clips`` clips that all have the same answer, and averages his scores.

        A sensor sends one z after the other: little that each of them tells adds up.
        """
        generator = np.random.default_rng(seed)
        of_yes, of_no = self.scores[self.truth], self.scores[~self.truth]
        bags = [generator.choice(part, (trials, clips)).mean(axis=1) for part in (of_yes, of_no)]
        return float(roc_auc_score(np.repeat([True, False], trials), np.concatenate(bags)))


def detect(
    z_train: npt.ArrayLike,
    answers_train: npt.ArrayLike,
    z_test: npt.ArrayLike,
    answers_test: npt.ArrayLike,
    *,
    seed: int,
    groups: npt.ArrayLike | None = None,
) -> Detection:
    """Train every architecture on the attacker's clips, let cross-validation choose one, judge it on the test clips.

    Parameters
    ----------
    z_train, z_test
        representations (n, d); the two parts should share no recording and no speaker.
    answers_train, answers_test
        (n,) bool.
    seed
        of the folds, the initial weights and the trees.
    groups
        (n,) a label of every training clip (its recording, or its speaker) that no two folds may share.

    Raises
    ------
    AttackError
        the arrays do not fit together, hold values that are not finite, or lack one of the two answers.
    """
    z, answers = checked(z_train, answers_train, "training")
    z_other, truth = checked(z_test, answers_test, "test")
    if z.shape[1] != z_other.shape[1]:
        raise AttackError("dimension-mismatch", f"training z has {z.shape[1]} dimensions and test z {z_other.shape[1]}")
    if len(z) < FEWEST:
        raise AttackError(
            "too-few-clips", f"{len(z)} training clips are too few for an attack: at least {FEWEST} are needed"
        )
    with fitting():
        held_out = _held_out(z, answers, groups, seed)
        final = {name: scores(fresh(name, seed).fit(z, answers), z_other) for name in ARCHITECTURES}
    final[VOTE] = np.mean([_ranks(held_out[name], final[name]) for name in ARCHITECTURES], axis=0)
    held_out[VOTE] = np.mean([_ranks(held_out[name], held_out[name]) for name in ARCHITECTURES], axis=0)
    validation = {name: float(roc_auc_score(answers, found)) for name, found in held_out.items()}
    chosen = max(validation, key=lambda name: validation[name])
    said = final[chosen] > _threshold(held_out[chosen], answers)
    return Detection(
        auc=float(roc_auc_score(truth, final[chosen])),
        accuracy=float(np.mean(said == truth)),
        by_architecture={name: float(roc_auc_score(truth, found)) for name, found in final.items()},
        validation=validation,
        roc=np.stack(roc_curve(truth, final[chosen])[:2]),
        chosen=chosen,
        chance=float(max(truth.mean(), 1 - truth.mean())),
        scores=final[chosen],
        truth=truth,
    )


def checked(z: npt.ArrayLike, answers: npt.ArrayLike, what: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Representations (n, d) and yes/no answers (n,) as arrays; raises :class:`AttackError`."""
    found, truth = np.asarray(z, np.float64), np.asarray(answers, bool)
    if found.ndim != 2 or truth.shape != (len(found),):
        raise AttackError("wrong-shape", f"{what} clips: z {found.shape} and answers {truth.shape} do not fit together")
    if not np.isfinite(found).all():
        raise AttackError("not-finite", f"{what} clips: z holds values that are not finite")
    if min(truth.sum(), (~truth).sum()) < _FOLDS:
        raise AttackError("too-few-answers", f"{what} clips: an attack needs at least {_FOLDS} clips of either answer")
    return found, truth


def _held_out(z: Floats, answers: npt.NDArray[np.bool_], groups: npt.ArrayLike | None, seed: int) -> dict[str, Floats]:
    """Every architecture's scores of clips it was not trained on (n,), fold by fold."""
    labels = None if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if labels is None or len(set(labels[answers])) < _FOLDS or len(set(labels[~answers])) < _FOLDS:
        folds = list(StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(z, answers))
    else:
        folds = list(StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed).split(z, answers, labels))
    found = {name: np.empty(len(z)) for name in ARCHITECTURES}
    for learnt, rest in folds:
        for name, into in found.items():
            into[rest] = scores(fresh(name, seed).fit(z[learnt], answers[learnt]), z[rest])
    return found


def _ranks(among: Floats, values: Floats) -> Floats:
    """Where ``values`` stand in the distribution ``among``, 0 to 1, so that architectures can be averaged."""
    return np.searchsorted(np.sort(among), values) / len(among)


def _threshold(found: Floats, truth: npt.NDArray[np.bool_]) -> float:
    """The threshold that is right most often among the attacker's own clips, if either answer were as frequent."""
    false, true, thresholds = roc_curve(truth, found, drop_intermediate=False)
    best = int((true - false).argmax())
    if best + 1 == len(thresholds):
        return -np.inf
    # Between this clip's score and the next lower one: the curve says "at least", the attack "more than".
    upper, lower = min(thresholds[best], found.max() + 1.0), thresholds[best + 1]
    return float((upper + lower) / 2)
