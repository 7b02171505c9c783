"""Dias, Abad, Trancoso, Table 3: polynomials that stand in for ReLU, fitted again beside the printed ones."""

from __future__ import annotations

import numpy as np

from bench.plaintext import plaintext_row
from bench.reproductions.request import Request
from bench.row import Row
from models.polynomial import DEGREES, TABLE_3, Coefficients, fit_relu

DESCRIPTION = (
    "polynomial stand-ins for ReLU: our fit beside the paper's Table 3, whose x^4 at degree 4 does not belong to its"
    " other coefficients (read as a misprint)"
)
CORPUS = None


def run(request: Request) -> list[Row]:
    """One row for each degree: coefficients, and the largest distance from ReLU on the paper's interval [-2, 2]."""
    return [
        plaintext_row(
            mode="polynomial",
            model="relu",
            corpus="none",
            split="none",
            seed=0,
            n_queries=0,
            parameters={"degree": degree},
            accuracy=None,
            metrics=_figures(fit_relu(degree)),
            published=_figures(TABLE_3[degree]),
        )
        for degree in DEGREES
    ]


def _figures(coefficients: Coefficients) -> dict[str, float | None]:
    figures: dict[str, float | None] = {f"x^{power}": value for power, value in enumerate(coefficients)}
    x = np.linspace(-2, 2, 4001)
    figures["largest_error_in_-2_2"] = float(np.abs(np.polyval(coefficients[::-1], x) - np.maximum(x, 0)).max())
    return figures
