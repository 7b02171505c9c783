"""Speaker linking: are two clips of one person, of whom the attacker who sees their z has never heard?

Who has heard the speakers before names them (:func:`sotto.adversarial.attacks.identification.identify`, closed set).
This attacker (open set) learns from other speakers in which directions of z people differ, and compares two clips along
them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import roc_auc_score, roc_curve
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sotto.adversarial.errors import AttackError

_DIRECTIONS = 20


@dataclass(frozen=True)
class Linking:
    """How well pairs of one speaker are told from pairs of two: area under the curve, and equal error rate."""

    auc: float
    equal_error_rate: float
    pairs: int


def link(z_train: npt.ArrayLike, speakers_train: npt.ArrayLike, z: npt.ArrayLike, speakers: npt.ArrayLike) -> Linking:
    """Compare every two clips of speakers the attacker never met.

    Parameters
    ----------
    z_train, z
        representations (n, d) of clips with speech.
    speakers_train, speakers
        (n,) who speaks; the two parts share nobody.

    Raises
    ------
    AttackError
        speakers in both parts, fewer than two in one (with two clips each, to learn from), or
        nobody with two clips to compare.
    """
    known, names = np.asarray(speakers_train), np.asarray(speakers)
    heard, times = np.unique(known, return_counts=True)
    often = np.isin(known, heard[times > 1])  # one clip of a speaker says nothing about what changes between two
    if np.isin(names, known).any():
        raise AttackError("shared-speaker", "linking is for speakers the attacker never met: keep the two parts apart")
    if len(set(known[often].tolist())) < 2 or len(set(names.tolist())) < 2:
        raise AttackError(
            "too-few-speakers", "linking needs at least two speakers on either side, those to learn from with two clips"
        )
    directions = min(_DIRECTIONS, np.shape(z_train)[-1], len(set(known[often].tolist())) - 1)
    learnt = make_pipeline(
        StandardScaler(), LinearDiscriminantAnalysis(solver="eigen", shrinkage="auto", n_components=directions)
    ).fit(np.asarray(z_train, np.float64)[often], known[often])
    seen = learnt.transform(np.asarray(z, np.float64))
    seen = seen - seen.mean(axis=0)
    seen /= np.maximum(np.linalg.norm(seen, axis=1, keepdims=True), 1e-12)
    one, other = np.triu_indices(len(seen), 1)
    same = names[one] == names[other]
    if not same.any():
        raise AttackError("one-clip-each", "linking needs somebody with two clips")
    alike = (seen @ seen.T)[one, other]
    false, true, _ = roc_curve(same, alike)
    return Linking(
        auc=float(roc_auc_score(same, alike)),
        equal_error_rate=float(((false + 1 - true) / 2)[np.abs(false - (1 - true)).argmin()]),
        pairs=len(same),
    )
