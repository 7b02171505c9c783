"""Linkability: does the server recognise a speaker from hashes, without the key?

Under one key hashes of one speaker are close to each other, and so is everything else that is close in the features:
sex, voice, microphone. The attacker has hashes with speakers' names (enrolled) and names the speaker of new ones, by
the nearest enrolled hash and with a machine trained on them. The same is done under different keys for both sides, and
on the features themselves, for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import cdist
from sklearn.svm import SVC

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.distance import hamming_distances
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import pack

Floats = npt.NDArray[np.float64]

_COST, _SPREAD = 10.0, 0.4  # C, and γ in units of one over the mean squared distance


@dataclass(frozen=True)
class Identification:
    """Share of probes whose speaker is named correctly, 0 to 1, by each of two attackers."""

    nearest: float
    trained: float


@dataclass(frozen=True)
class LinkabilityResult:
    """Speaker identification in four settings; ``chance`` is that of the most frequent enrolled speaker."""

    same_key: Identification
    different_keys: Identification
    plaintext: Identification
    chance: float
    speakers: int
    probes: int


def linkability(
    features: npt.ArrayLike, speakers: npt.ArrayLike, enrolled: npt.ArrayLike, key: HashKey, other: HashKey
) -> LinkabilityResult:
    """Identify speakers from hashes.

    Parameters
    ----------
    features
        (n, L), as they are hashed.
    speakers
        (n,) who speaks.
    enrolled
        (n,) bool; True where the attacker knows the speaker, False for probes. Probes should differ from
        the enrolled utterances in what is said.
    key
        for the enrolled hashes, and for the probes in the setting with one key.
    other
        for the probes in the setting with different keys; same parameters.

    Raises
    ------
    HashingError
        the arrays do not fit together, a side is empty, or a probe's speaker is not enrolled.
    """
    x, names, known = np.asarray(features, np.float64), np.asarray(speakers), np.asarray(enrolled, bool)
    if x.ndim != 2 or names.shape != (len(x),) or known.shape != names.shape:
        raise HashingError(
            "wrong-shape", f"features {x.shape}, speakers {names.shape} and enrolled {known.shape} do not fit together"
        )
    if not set(names[~known].tolist()) or not set(names[~known].tolist()) <= set(names[known].tolist()):
        raise HashingError(
            "no-probe", "every probe needs a speaker with an enrolled utterance, and there has to be a probe"
        )
    if len(set(names[known].tolist())) < 2:
        raise HashingError("too-few-speakers", "naming a speaker needs at least two enrolled speakers")
    if key.parameters != other.parameters or key == other:
        raise HashingError("bad-keys", "the two keys have to differ and to have the same parameters")
    k = key.parameters.k
    enrolment = pack(modular_hash(x[known], key), k)
    probes = [pack(modular_hash(x[~known], one), k) for one in (key, other)]
    among = hamming_distances(enrolment, enrolment)
    hashed = [_identify(among, hamming_distances(probe, enrolment), names[known], names[~known]) for probe in probes]
    plain = _identify(cdist(x[known], x[known]), cdist(x[~known], x[known]), names[known], names[~known])
    values, counts = np.unique(names[known], return_counts=True)
    return LinkabilityResult(
        same_key=hashed[0],
        different_keys=hashed[1],
        plaintext=plain,
        chance=float(np.mean(names[~known] == values[counts.argmax()])),
        speakers=len(values),
        probes=int(np.count_nonzero(~known)),
    )


def _identify(among: Floats, asked: Floats, enrolled: npt.NDArray[Any], truth: npt.NDArray[Any]) -> Identification:
    """Both attackers, from distances among the enrolled (m, m) and of probes to enrolled (n, m)."""
    gamma = _SPREAD / max(float((among**2).mean()), 1e-12)
    machine = SVC(C=_COST, kernel="precomputed").fit(np.exp(-gamma * among**2), enrolled)
    trained = machine.predict(np.exp(-gamma * asked**2))
    return Identification(
        nearest=float(np.mean(enrolled[asked.argmin(axis=1)] == truth)), trained=float(np.mean(trained == truth))
    )
