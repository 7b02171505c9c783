"""Attackers who want a name out of z: one of many values, with examples of each (who speaks, what is said).

Closed set: every value that is probed was enrolled, with other clips.  As in
:mod:`sotto.adversarial.attacks.detection`, several architectures are trained from scratch and cross-validation on the
enrolled clips chooses one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedKFold

from sotto.adversarial.attacks.classifiers import FEWEST, Floats, fitting, fresh
from sotto.adversarial.errors import AttackError

ARCHITECTURES = ("logistic-strict", "logistic", "linear-discriminant", "svm", "neighbours", "trees", "wide-network")
_FOLDS = 3


@dataclass(frozen=True)
class Identification:
    """What the attackers reached on the probes.

    Attributes
    ----------
    named
        share of probes named rightly by the attacker that cross-validation chose.
    chance
        share of the value that is most frequent among the enrolled, what naming it always would give.
    by_architecture
        the share of every attacker on the same probes.
    chosen
        his architecture.
    values, probes
        how many values were enrolled and how many clips probed.
    """

    named: float
    chance: float
    by_architecture: Mapping[str, float]
    chosen: str
    values: int
    probes: int


def identify(
    z_enrolled: npt.ArrayLike, enrolled: npt.ArrayLike, z_probes: npt.ArrayLike, probes: npt.ArrayLike, *, seed: int
) -> Identification:
    """Train every architecture on the enrolled clips, let cross-validation choose one, judge it on the probes.

    Parameters
    ----------
    z_enrolled, z_probes
        representations (n, d).
    enrolled, probes
        (n,) the value of every clip (a speaker, a sentence), of any kind that can be sorted.
    seed
        of the folds, the initial weights and the trees.

    Raises
    ------
    AttackError
        the arrays do not fit together, hold values that are not finite, there are fewer than
        ``FEWEST`` clips or two values, a value has fewer than three clips, or a probe's value is not enrolled.
    """
    z, z_other = (np.asarray(part, np.float64) for part in (z_enrolled, z_probes))
    known, answers = np.unique(np.asarray(enrolled), return_inverse=True)
    truth = np.asarray(probes)
    if z.ndim != 2 or z_other.ndim != 2 or z.shape[1] != z_other.shape[1]:
        raise AttackError(
            "wrong-shape", f"z of enrolled clips {z.shape} and of probes {z_other.shape} do not fit together"
        )
    if answers.shape != (len(z),) or truth.shape != (len(z_other),) or not len(truth):
        raise AttackError("no-probe", "every clip needs one value, and there has to be a probe")
    if not (np.isfinite(z).all() and np.isfinite(z_other).all()):
        raise AttackError("not-finite", "z holds values that are not finite")
    if len(z) < FEWEST:
        raise AttackError(
            "too-few-clips", f"{len(z)} enrolled clips are too few for an attack: at least {FEWEST} are needed"
        )
    if len(known) < 2 or np.bincount(answers).min() < _FOLDS:
        raise AttackError("too-few-values", f"naming needs at least two values with {_FOLDS} enrolled clips each")
    if not np.isin(truth, known).all():
        raise AttackError("unknown-value", "every probe needs enrolled clips of its value")
    wanted = np.searchsorted(known, truth)
    folds = list(StratifiedKFold(_FOLDS, shuffle=True, random_state=seed).split(z, answers))
    with fitting():
        validation = {
            name: float(np.mean([_right(name, z, answers, learnt, rest, seed) for learnt, rest in folds]))
            for name in ARCHITECTURES
        }
        by_architecture = {
            name: float(np.mean(fresh(name, seed).fit(z, answers).predict(z_other) == wanted)) for name in ARCHITECTURES
        }
    chosen = max(validation, key=lambda name: validation[name])
    return Identification(
        named=by_architecture[chosen],
        chance=float(np.mean(wanted == np.bincount(answers).argmax())),
        by_architecture=by_architecture,
        chosen=chosen,
        values=len(known),
        probes=len(truth),
    )


def _right(
    name: str,
    z: Floats,
    answers: npt.NDArray[np.intp],
    learnt: npt.NDArray[np.intp],
    rest: npt.NDArray[np.intp],
    seed: int,
) -> float:
    """Share of the clips ``rest`` that an attacker names rightly who learnt from the others."""
    said = fresh(name, seed).fit(z[learnt], answers[learnt]).predict(z[rest])
    return float(np.mean(said == answers[rest]))
