"""Dias, Abad, Trancoso, Table 3: polynomials that stand in for ReLU, fitted again beside the printed ones.

Two kinds of rows.  *polynomial*: the fit under the standard normal density, which is what the table is, beside the
printed coefficients.  *measured*, when a corpus is named: for a ReLU network trained on it, with batch normalisation
and without, the fit over what each layer sees there (training clips), and how far that, the standard fit and the
printed polynomial are from ReLU on it.  Without normalisation a layer's inputs are nothing like standard normal ones.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sotto.bench.emotion.emotion_models import emotion_model
from sotto.bench.papers.dias.cryptonet.study import open_pair
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.workbench import Workbench
from sotto.models.learning.recipes import mlp
from sotto.models.networks.mlp import MLP
from sotto.models.networks.polynomial import DEGREES, TABLE_3, Coefficients, fit_relu

DESCRIPTION = (
    "polynomial stand-ins for ReLU: our fit beside the paper's Table 3, whose x^4 at degree 4 does not belong to its"
    " other coefficients (read as a misprint), and the fit over what each layer sees"
)

Inputs = npt.NDArray[np.float64]


def run(request: Request) -> Iterator[Row]:
    """One row for each degree, then with a corpus one for each layer of each network and degree."""
    yield from _table()
    if request.data is None:
        request.say("for the fit over what layers see, name a corpus with --corpus and --data")
    else:
        yield from _measured(open_pair(request))


def _table() -> Iterator[Row]:
    """Coefficients, and the largest distance from ReLU on the paper's interval [-2, 2]."""
    for degree in DEGREES:
        yield Row(
            paradigm="plaintext",
            mode="polynomial",
            model="relu",
            seed=0,
            n_queries=0,
            parameters={"degree": degree},
            metrics=_figures(fit_relu(degree)),
            published=_figures(TABLE_3[degree]),
        )


def _measured(bench: Workbench) -> Iterator[Row]:
    for normalised in (True, False):
        emotion = emotion_model(mlp("relu", batch_norm=normalised), bench)
        if not isinstance(emotion.module, MLP):
            raise TypeError("the recipe of the cryptonet makes an MLP")
        layers = pre_activations(emotion.module, bench.part(emotion.queries, "train"))
        for (number, inputs), degree in ((layer, degree) for layer in enumerate(layers, 1) for degree in DEGREES):
            fitted = fit_relu(degree, inputs)
            yield Row(
                paradigm="plaintext",
                mode="measured",
                model="mlp",
                corpus=bench.corpus.name,
                split=bench.split.name,
                seed=bench.seed,
                n_queries=0,
                parameters={"degree": degree, "normalisation": normalised, "layer": number},
                metrics=_coefficients(fitted)
                | {
                    "least_input": float(inputs.min()),
                    "largest_input": float(inputs.max()),
                    "input_deviation": float(inputs.std()),
                    "rms_error_measured_fit": _distance(fitted, inputs),
                    "rms_error_standard_fit": _distance(fit_relu(degree), inputs),
                    "rms_error_table3": _distance(TABLE_3[degree], inputs),
                },
                published=_coefficients(TABLE_3[degree]),
            )


def pre_activations(module: MLP, features: npt.NDArray[np.float32]) -> list[Inputs]:
    """What each ReLU of a network sees on ``features`` (n, inputs): one flat array a layer."""
    observed: list[Inputs] = []
    x = torch.from_numpy(features)
    with torch.no_grad():
        for layer in module.trunk:
            if isinstance(layer, nn.ReLU):
                observed.append(x.double().numpy().ravel())
            x = layer(x)
    return observed


def _distance(coefficients: Coefficients, inputs: Inputs) -> float:
    """Root mean square distance from ReLU on ``inputs``."""
    difference = np.polyval(coefficients[::-1], inputs) - np.maximum(inputs, 0)
    return float(np.sqrt(np.mean(difference**2)))


def _coefficients(coefficients: Coefficients) -> dict[str, float | None]:
    return {f"x^{power}": value for power, value in enumerate(coefficients)}


def _figures(coefficients: Coefficients) -> dict[str, float | None]:
    figures = _coefficients(coefficients)
    x = np.linspace(-2, 2, 4001)
    figures["largest_error_in_-2_2"] = float(np.abs(np.polyval(coefficients[::-1], x) - np.maximum(x, 0)).max())
    return figures
