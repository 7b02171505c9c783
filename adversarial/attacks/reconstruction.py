"""Reconstruction: how much of the spectrogram, and of the speech in it, comes back from z by a trained inverter?

The attacker has recordings of his own, runs the (public) sensor on them, and learns to get from z to the log magnitude
spectrogram: to that of the sound as the microphone heard it, or to that of the speech alone.  Spectrograms are first
reduced to the principal components of his own ones; several regressions are trained on those, and cross-validation
chooses.  What he gets is compared with two guesses that need no z: the mean spectrogram of his recordings, and the
mean for the event that was answered, which is all that Bob should know.

The quality of speech is judged by ear as far as a machine can: the magnitudes are made a waveform (Griffin and Lim,
1984), and its short-time objective intelligibility (STOI; Taal, Hendriks, Heusdens, Jensen, 2011) is computed against
the speech that was spoken.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import librosa
import numpy as np
import numpy.typing as npt
import torch
from pystoi import stoi
from sklearn.base import RegressorMixin
from sklearn.decomposition import PCA
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sotto.adversarial.attacks.classifiers import fitting
from sotto.adversarial.errors import AttackError
from sotto.adversarial.sensor.spectrogram import Spectrogram

Floats = npt.NDArray[np.float32]

_COMPONENTS = 80
_FLOOR = 1e-2  # of a magnitude, 20 to 40 dB under the frames of a segment of unit variance
_FOLDS = 3
_FEWEST = 12

INVERTERS: Mapping[str, Callable[[int], RegressorMixin]] = {
    "linear": lambda seed: Ridge(alpha=30.0),
    "linear-strict": lambda seed: Ridge(alpha=1000.0),
    "kernel": lambda seed: KernelRidge(alpha=0.3, kernel="rbf", gamma=0.01),
    "neighbours": lambda seed: KNeighborsRegressor(9, weights="distance"),
    "network": lambda seed: MLPRegressor(
        hidden_layer_sizes=(256, 256), alpha=1.0, max_iter=60, early_stopping=True, random_state=seed
    ),
}
"""Untrained regressions by name, from z to components; each takes a seed for its initial weights."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What came back, on clips of recordings and speakers the attacker had not met.

    Attributes
    ----------
    correlation
        mean over clips of the correlation of recovered and true log spectrogram, both less the mean
        spectrogram of the attacker's recordings; about 0 when z tells nothing, 1 when it tells all.
    distance_db
        mean over clips of the log spectral distance: root of the mean squared difference in dB.
    mean_distance_db
        the distance of the mean spectrogram, the best guess without z.
    answer_correlation, answer_distance_db
        both for the mean spectrogram of the event's class, for an attacker
        who is told the answer alone; None when the classes were not given.
    chosen
        the inverter that cross-validation chose.
    magnitudes
        (n, bins, frames) float32, the recovered spectrograms.
    mean
        (bins, frames) float32, the mean spectrogram of the attacker's recordings.
    """

    correlation: float
    distance_db: float
    mean_distance_db: float
    answer_correlation: float | None
    answer_distance_db: float | None
    chosen: str
    magnitudes: Floats
    mean: Floats


def attack(
    z_train: npt.ArrayLike,
    heard_train: Floats,
    z_test: npt.ArrayLike,
    heard_test: Floats,
    *,
    rate: int,
    seed: int,
    event_train: npt.NDArray[np.int64] | None = None,
    event_test: npt.NDArray[np.int64] | None = None,
) -> Reconstruction:
    """Train inverters from z to the spectrogram of what was heard, and recover that of the test clips.

    Parameters
    ----------
    z_train, z_test
        representations (n, d); the two parts should share no recording and no speaker.
    heard_train, heard_test
        (n, samples) float32: what is to be recovered, the whole sound or the speech in it.
    rate
        samples per second.
    seed
        of the folds, the components and the initial weights.
    event_train, event_test
        (n,) classes, for the guess from the answer alone.

    Raises
    ------
    AttackError
        the arrays do not fit together, hold values that are not finite, or are too few.
    """
    known, asked = _checked(z_train, heard_train), _checked(z_test, heard_test)
    spectrogram = Spectrogram(rate)
    own, truth = _decibels(heard_train, spectrogram), _decibels(heard_test, spectrogram)
    mean = own.mean(axis=0)
    reduction = PCA(min(_COMPONENTS, len(own) - 1), svd_solver="randomized", random_state=seed)
    components = reduction.fit_transform(own.reshape(len(own), -1))
    with fitting():
        chosen = _best(known, components, seed)
        guessed = _fresh(chosen, seed).fit(known, components).predict(asked)
    found = reduction.inverse_transform(guessed).reshape(truth.shape)
    correlation, distance = _judge(found, truth, mean)
    told = None
    if event_train is not None and event_test is not None:
        per_class = {k: own[event_train == k].mean(axis=0) for k in np.unique(event_train)}
        told = _judge(np.stack([per_class.get(k, mean) for k in event_test]), truth, mean)
    return Reconstruction(
        correlation=correlation,
        distance_db=distance,
        mean_distance_db=_judge(np.broadcast_to(mean, truth.shape), truth, mean)[1],
        answer_correlation=told[0] if told else None,
        answer_distance_db=told[1] if told else None,
        chosen=chosen,
        magnitudes=(10 ** (found / 20)).astype(np.float32),
        mean=(10 ** (mean / 20)).astype(np.float32),
    )


def intelligibility(magnitudes: Floats, speech: Floats, *, rate: int, seed: int) -> float:
    """Mean STOI, about 0 (nothing) to 1, of what Griffin and Lim's algorithm makes of magnitudes.

    Parameters
    ----------
    magnitudes
        (n, bins, frames) recovered spectrograms.
    speech
        (n, samples) the speech that was spoken, clips with less than about 0.4 s of it are left out.
    rate
        samples per second.
    seed
        of the phases it starts from.

    Raises
    ------
    AttackError
        no clip holds enough speech.
    """
    spectrogram = Spectrogram(rate)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # how STOI says that there is too little speech
        for magnitude, spoken in zip(magnitudes, speech, strict=True):
            if not spoken.any():
                continue
            sound = librosa.griffinlim(
                magnitude, n_iter=32, hop_length=spectrogram.hop, window="hamming", length=len(spoken),
                random_state=seed,
            )  # fmt: skip
            try:
                found.append(stoi(spoken.astype(np.float64), sound.astype(np.float64), rate))
            except RuntimeWarning:
                continue
    if not found:
        raise AttackError("no-speech", "no clip holds enough speech to judge how intelligible it is")
    return float(np.mean(found))


def _checked(z: npt.ArrayLike, heard: Floats) -> npt.NDArray[np.float64]:
    values = np.asarray(z, np.float64)
    if values.ndim != 2 or heard.ndim != 2 or len(heard) != len(values):
        raise AttackError("wrong-shape", f"z {values.shape} and waveforms {heard.shape} do not fit together")
    if not np.isfinite(values).all() or not np.isfinite(heard).all():
        raise AttackError("not-finite", "z or a waveform holds values that are not finite")
    if len(values) < _FEWEST:
        raise AttackError("too-few-clips", f"reconstruction needs at least {_FEWEST} clips, not {len(values)}")
    return values


def _decibels(waveforms: Floats, spectrogram: Spectrogram) -> Floats:
    """Log magnitude spectrograms (n, bins, frames) in dB."""
    with torch.inference_mode():
        parts = [spectrogram(part).numpy() for part in torch.from_numpy(waveforms).split(64)]
    decibels: Floats = 20 * np.log10(np.maximum(np.concatenate(parts), _FLOOR))
    return decibels


def _fresh(name: str, seed: int) -> RegressorMixin:
    return make_pipeline(StandardScaler(), INVERTERS[name](seed))


def _best(z: npt.NDArray[np.float64], components: Floats, seed: int) -> str:
    """The inverter with the smallest squared error in cross-validation on the attacker's own clips."""
    folds = list(KFold(_FOLDS, shuffle=True, random_state=seed).split(z))
    errors = {
        name: sum(
            float(((_fresh(name, seed).fit(z[a], components[a]).predict(z[b]) - components[b]) ** 2).sum())
            for a, b in folds
        )
        for name in INVERTERS
    }
    return min(errors, key=lambda name: errors[name])


def _judge(found: Floats, truth: Floats, mean: Floats) -> tuple[float, float]:
    """Mean correlation beyond the mean spectrogram, and mean log spectral distance in dB."""
    a, b = ((part - mean).reshape(len(part), -1).astype(np.float64) for part in (found, truth))
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    size = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    correlation = float(np.mean((a * b).sum(axis=1) / np.maximum(size, 1e-12)))
    return correlation, float(np.mean(np.sqrt(np.square(found - truth, dtype=np.float64).mean(axis=(1, 2)))))
