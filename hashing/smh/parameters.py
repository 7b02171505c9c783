"""The public parameters of a Secure Modular Hash: everything about a key except its secret numbers.

Source: Dias, Abad, Trancoso, privacy-preserving paralinguistics, §4, equation 1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from sotto.hashing.errors import HashingError

Dither = Literal["full", "paper"]
DITHERS: tuple[Dither, ...] = get_args(Dither)

LARGEST_K = 16
_MOST_SYMBOLS = 1 << 20
_MOST_NUMBERS = 1 << 27  # of the matrix A: 1 GiB


@dataclass(frozen=True)
class HashParameters:
    """Sizes of h(x) = ⌊(A x + w) / Δ⌋ mod k.

    Attributes
    ----------
    inputs
        L, features per utterance.
    k
        modulus, 2 to 16; a symbol is one of 0 … k - 1.
    delta
        Δ, width of a quantiser cell, in the units of the features. Larger: more accurate, more leakage.
    measurements_per_coefficient
        mpc = M / L; a hash has M = mpc · L symbols.
    dither
        how far w reaches. ``"full"``: uniform over the quantiser's whole period [0, kΔ); then one hash on its
        own is uniformly distributed whatever x is, and many hashes depend on the features only through their
        distances. ``"paper"``: uniform over [0, k), as equation 1 prints it; that is whole periods only where
        1 / Δ is a whole number. Elsewhere a single hash depends on x, so it is not the default.

    Raises
    ------
    HashingError
        a value is out of range; the message names it.
    """

    inputs: int
    k: int = 3
    delta: float = 2.0
    measurements_per_coefficient: int = 32
    dither: Dither = "full"

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _whole("inputs", self.inputs, 1, _MOST_SYMBOLS))
        object.__setattr__(self, "k", _whole("k", self.k, 2, LARGEST_K))
        mpc = _whole("measurements_per_coefficient", self.measurements_per_coefficient, 1, _MOST_SYMBOLS)
        object.__setattr__(self, "measurements_per_coefficient", mpc)
        object.__setattr__(self, "delta", _positive("delta", self.delta))
        if self.dither not in DITHERS:
            raise HashingError("bad-dither", f'dither is {str(self.dither)[:20]!r}; use "full" or "paper"')
        if self.symbols > _MOST_SYMBOLS or self.symbols * self.inputs > _MOST_NUMBERS:
            raise HashingError(
                "key-too-large",
                f"{self.inputs} features with {mpc} measurements each need a key of {self.symbols} × {self.inputs} "
                "numbers, which is too large: use fewer measurements per coefficient or fewer features",
            )

    @property
    def symbols(self) -> int:
        """M, symbols of a hash."""
        return self.inputs * self.measurements_per_coefficient

    @property
    def label(self) -> str:
        """One unambiguous text for these parameters; goes into fingerprints and seeded keys, so it never changes."""
        mpc = self.measurements_per_coefficient
        return f"inputs={self.inputs} k={self.k} delta={self.delta.hex()} mpc={mpc} dither={self.dither}"

    @property
    def dither_width(self) -> float:
        """Upper end of the interval w is uniform on, in the units of A x."""
        return self.k * self.delta if self.dither == "full" else float(self.k)


def _whole(name: str, value: Any, least: int, most: int) -> int:
    try:
        whole = int(value)
        exact = whole == value and not isinstance(value, bool)
    except (TypeError, ValueError, OverflowError):
        exact, whole = False, 0
    if not exact or not least <= whole <= most:
        raise HashingError("not-whole", f"{name} is {str(value)[:40]}; use a whole number from {least} to {most}")
    return whole


def _positive(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise HashingError("not-positive", f"{name} is {str(value)[:40]}; use a positive number")
    return number
