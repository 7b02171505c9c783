"""Dias, Abad, Trancoso, Table 4: accuracy of the cryptonet for each degree, with and without normalisation, encrypted.

The paper trains with ReLU and swaps in the polynomial of Table 3; it gives one figure a cell.  Here each cell is a row
for each way to come by the polynomial network:

* ``swapped``: trained with ReLU, every ReLU then our fit of the polynomial, as the paper does;
* ``swapped-table3``: the same with the coefficients as printed, degree 4 with its misprint;
* ``swapped-measured``: each polynomial fitted to what its layer sees on the training set;
* ``in-place``: trained with the polynomial.

Every clip is answered by the packed evaluator on ciphertexts and by the same network in the clear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto import he
from sotto.audio.splits import speaker_folds
from sotto.bench.emotion.emotion_models import emotion_model
from sotto.bench.papers.dias.cryptonet.study import Session, Vectors, open_pair
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.he.experiment import security
from sotto.models.architectures import ModelError
from sotto.models.learning.recipes import mlp
from sotto.models.learning.training import predict
from sotto.models.networks.polynomial import DEGREES, swap_relu, swap_relu_measured

DESCRIPTION = "accuracy of the encrypted cryptonet by degree, normalisation and training, beside the paper's Table 4"

PUBLISHED = {
    (2, False): 0.597246,
    (4, False): 0.815835,
    (6, False): 0.814114,
    (2, True): 0.791738,
    (4, True): 0.805508,
    (6, True): 0.802065,
}
PUBLISHED_RELU = 0.8262

Right = npt.NDArray[np.bool_]

WAYS = ("swapped", "swapped-table3", "swapped-measured", "in-place")
_FOLDS = {"quick": 1, "full": 6}


@dataclass(frozen=True)
class _Setting:
    """A row: a degree, with or without batch normalisation, and how the network is come by."""

    degree: int
    normalised: bool
    way: str

    def __str__(self) -> str:
        return f"degree {self.degree}, {'with' if self.normalised else 'without'} normalisation, {self.way}"


def run(request: Request) -> list[Row]:
    """One row for each degree, with and without batch normalisation, and each way to train."""
    bench = open_pair(request)
    settings = [_Setting(p, normalised, way) for normalised in (False, True) for p in DEGREES for way in WAYS]
    folds = _FOLDS[bench.preset]
    splits = [bench.split] if folds == 1 else speaker_folds(bench.corpus, folds, bench.seed)
    by_setting: dict[_Setting, list[_Measured]] = {setting: [] for setting in settings}
    for split in splits:
        for setting in settings:
            by_setting[setting].append(_measure(setting, replace(bench, split=split)))
    return [_row(setting, measured, bench, folds) for setting, measured in by_setting.items()]


@dataclass(frozen=True, eq=False)
class _Measured:
    """Of one split's test clips, where they were asked: whether each answer was right, in the clear, by the ReLU
    network and encrypted; whether it was the same encrypted; and how far encrypted logits were off."""

    plain: Right | None = None
    relu: Right | None = None
    private: Right | None = None
    agree: Right | None = None
    error: float | None = None


def _measure(setting: _Setting, bench: Workbench) -> _Measured:
    """Train and ask on one split, in the clear and, unless the model is refused, on ciphertexts."""
    try:
        module, queries, relu = _network(setting, bench)
    except ModelError as error:  # a polynomial that runs away in training
        bench.say(f"{setting}: {error}")
        return _Measured()
    asked, truth = bench.part(queries, "test"), bench.part(bench.targets, "test")
    test = np.clip(asked, -1, 1)
    exact = he.PolynomialNetwork.of(module).logits(test)
    plain = exact.argmax(axis=1) == truth
    by_relu = None if relu is None else predict(relu, test).argmax(1) == truth
    try:
        session = Session(module, bench.part(queries, "train"), "packed")
    except he.ModelRefused as error:
        bench.say(f"{setting}: not evaluated under encryption: {error}")
        return _Measured(plain, by_relu)
    logits = session.ask(asked)
    guesses = logits.argmax(axis=1)
    private = guesses == truth
    bench.say(f"{setting}: accuracy {np.mean(private):.3f} encrypted, {np.mean(plain):.3f} in the clear")
    return _Measured(plain, by_relu, private, guesses == exact.argmax(axis=1), float(np.abs(logits - exact).max()))


def _network(setting: _Setting, bench: Workbench) -> tuple[nn.Module, Vectors, nn.Module | None]:
    """The polynomial network, all clips as it takes them, and the ReLU network it was made from."""
    activation = f"poly{setting.degree}" if setting.way == "in-place" else "relu"
    emotion = emotion_model(mlp(activation, batch_norm=setting.normalised), bench)
    if setting.way == "in-place":
        return emotion.module, emotion.queries, None
    if setting.way == "swapped-measured":
        train = bench.part(emotion.queries, "train")
        swapped = swap_relu_measured(emotion.module, setting.degree, train)
    else:
        swapped = swap_relu(emotion.module, setting.degree, "table3" if setting.way == "swapped-table3" else "fit")
    return swapped, emotion.queries, emotion.module


def _row(setting: _Setting, measured: Sequence[_Measured], bench: Workbench, folds: int) -> Row:
    plain, private = [each.plain for each in measured], [each.private for each in measured]
    return Row(
        paradigm="he",
        mode="packed",
        model="mlp",
        corpus=bench.corpus.name,
        split=bench.split.name if folds == 1 else f"speakers, {folds} folds",
        seed=bench.seed,
        n_queries=_clips(private),
        parameters={"degree": setting.degree, "normalisation": setting.normalised, "training": setting.way},
        accuracy_plain=_share(plain),
        accuracy_private=_share(private),
        agreement=_share([each.agree for each in measured]),
        max_abs_error=max((each.error for each in measured if each.error is not None), default=None),
        metrics={
            "accuracy_private": _share(private),
            "accuracy_relu": _share([each.relu for each in measured]),
            "clips_in_the_clear": float(_clips(plain)),
            "folds_refused": float(sum(each.private is None for each in measured)),
        },
        published={
            "accuracy_private": PUBLISHED[setting.degree, setting.normalised],
            "accuracy_relu": PUBLISHED_RELU,
        },
        security=security(),
    )


def _clips(parts: Sequence[Right | None]) -> int:
    return sum(len(part) for part in parts if part is not None)


def _share(parts: Sequence[Right | None]) -> float | None:
    asked = [part for part in parts if part is not None]
    return float(np.mean(np.concatenate(asked))) if asked else None
