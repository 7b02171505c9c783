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
from sotto.bench.emotion_models import emotion_model
from sotto.bench.papers.dias.cryptonet_study import Session, Vectors, open_pair
from sotto.bench.paradigms.he import recipe, security
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.workbench import Workbench
from sotto.models.architectures import ModelError
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

WAYS = ("swapped", "swapped-table3", "swapped-measured", "in-place")
_FOLDS = {"quick": 1, "full": 6}


@dataclass
class _Cell:
    """What a setting's folds gave: guesses against truth, in the clear and encrypted."""

    plain: list[npt.NDArray[np.bool_]]
    relu: list[npt.NDArray[np.bool_]]
    private: list[npt.NDArray[np.bool_]]
    agree: list[npt.NDArray[np.bool_]]
    errors: list[float]
    refused: int = 0


@dataclass(frozen=True)
class _Setting:
    degree: int
    normalised: bool
    way: str

    def __str__(self) -> str:
        return f"degree {self.degree}, {'with' if self.normalised else 'without'} normalisation, {self.way}"


def run(request: Request) -> list[Row]:
    """One row for each degree, with and without batch normalisation, and each way to train."""
    bench = open_pair(request)
    settings = [_Setting(p, normalised, way) for normalised in (False, True) for p in DEGREES for way in WAYS]
    cells = {setting: _Cell([], [], [], [], []) for setting in settings}
    folds = _FOLDS[bench.preset]
    splits = [bench.split] if folds == 1 else speaker_folds(bench.corpus, folds, bench.seed)
    for split in splits:
        for setting, cell in cells.items():
            _measure(setting, cell, replace(bench, split=split))
    return [_row(setting, cell, bench, folds) for setting, cell in cells.items()]


def _measure(setting: _Setting, cell: _Cell, bench: Workbench) -> None:
    """Train and ask on one split."""
    try:
        module, queries, relu = _network(setting, bench)
    except ModelError as error:  # a polynomial that runs away in training
        bench.say(f"{setting}: {error}")
        cell.refused += 1
        return
    test = np.clip(bench.part(queries, "test"), -1, 1)
    truth = bench.part(bench.targets, "test")
    exact = he.PolynomialNetwork.of(module).logits(test)
    cell.plain.append(exact.argmax(axis=1) == truth)
    if relu is not None:
        cell.relu.append(predict(relu, test).argmax(1) == truth)
    _ask(setting, cell, module, bench, queries, exact)


def _ask(
    setting: _Setting,
    cell: _Cell,
    module: nn.Module,
    bench: Workbench,
    queries: Vectors,
    exact: npt.NDArray[np.float64],
) -> None:
    """The same answers on ciphertexts, unless the model is refused."""
    test, truth = bench.part(queries, "test"), bench.part(bench.targets, "test")
    try:
        session = Session(module, bench.part(queries, "train"), "packed")
    except he.ModelRefused as error:
        bench.say(f"{setting}: not evaluated under encryption: {error}")
        cell.refused += 1
        return
    logits = session.ask(test)
    guesses = logits.argmax(axis=1)
    cell.private.append(guesses == truth)
    cell.agree.append(guesses == exact.argmax(axis=1))
    cell.errors.append(float(np.abs(logits - exact).max()))
    bench.say(
        f"{setting}: accuracy {np.mean(cell.private[-1]):.3f} encrypted, {np.mean(cell.plain[-1]):.3f} in the clear"
    )


def _network(setting: _Setting, bench: Workbench) -> tuple[nn.Module, Vectors, nn.Module | None]:
    """The polynomial network, all clips as it takes them, and the ReLU network it was made from."""
    activation = f"poly{setting.degree}" if setting.way == "in-place" else "relu"
    emotion = emotion_model(recipe(activation, batch_norm=setting.normalised), bench)
    if setting.way == "in-place":
        return emotion.module, emotion.queries, None
    if setting.way == "swapped-measured":
        train = bench.part(emotion.queries, "train")
        swapped = swap_relu_measured(emotion.module, setting.degree, train)
    else:
        swapped = swap_relu(emotion.module, setting.degree, "table3" if setting.way == "swapped-table3" else "fit")
    return swapped, emotion.queries, emotion.module


def _row(setting: _Setting, cell: _Cell, bench: Workbench, folds: int) -> Row:
    return Row(
        paradigm="he",
        mode="packed",
        model="mlp",
        corpus=bench.corpus.name,
        split=bench.split.name if folds == 1 else f"speakers, {folds} folds",
        seed=bench.seed,
        n_queries=sum(map(len, cell.private)),
        parameters={"degree": setting.degree, "normalisation": setting.normalised, "training": setting.way},
        accuracy_plain=_share(cell.plain),
        accuracy_private=_share(cell.private),
        agreement=_share(cell.agree),
        max_abs_error=max(cell.errors, default=None),
        metrics={
            "accuracy_private": _share(cell.private),
            "accuracy_relu": _share(cell.relu),
            "clips_in_the_clear": float(sum(map(len, cell.plain))),
            "folds_refused": float(cell.refused),
        },
        published={
            "accuracy_private": PUBLISHED[setting.degree, setting.normalised],
            "accuracy_relu": PUBLISHED_RELU,
        },
        security=security(),
    )


def _share(parts: Sequence[npt.NDArray[np.bool_]]) -> float | None:
    return float(np.mean(np.concatenate(parts))) if parts else None
