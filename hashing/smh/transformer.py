"""Secure Modular Hashing as a scikit-learn transformer; Alice herself needs :func:`modular_hash` alone."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sotto.hashing.errors import HashingError
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import Symbols, modular_hash
from sotto.hashing.smh.parameters import Dither, HashParameters
from sotto.link import BadType


class SecureModularHash(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """scikit-learn transformer: features (n, L) to hash symbols (n, M) uint8.

    Hashing learns nothing from the data; ``fit`` only takes the number of features and makes or checks the key.

    Parameters
    ----------
    key : HashKey or None
        The secret key; its parameters must be those of the estimator (:meth:`from_key` takes them over). None: ``fit``
        makes one.
    k, delta, measurements_per_coefficient, dither
        See :class:`sotto.hashing.smh.parameters.HashParameters`. The defaults k = 3, Δ = 2, mpc = 32 are the paper's
        compromise, for features scaled to [-1, 1]; for other features choose Δ with
        :func:`sotto.hashing.smh.leakage.delta_for_leakage`.
    seed : int or None
        Without ``key``: None draws a new secret key at every fit; an integer draws the same key every time, for
        experiments. A seed is an ordinary parameter, shown and pickled: it keeps nothing secret.

    Attributes
    ----------
    key_ : HashKey
        The key in use. An estimator that holds a secret key refuses to be pickled; a seeded one draws it again.
    """

    def __init__(
        self,
        key: HashKey | None = None,
        *,
        k: int = 3,
        delta: float = 2.0,
        measurements_per_coefficient: int = 32,
        dither: Dither = "full",
        seed: int | None = None,
    ) -> None:
        self.key = key
        self.k = k
        self.delta = delta
        self.measurements_per_coefficient = measurements_per_coefficient
        self.dither = dither
        self.seed = seed

    @classmethod
    def from_key(cls, key: HashKey) -> Self:
        """An estimator with the parameters of ``key``."""
        p = key.parameters
        return cls(
            key,
            k=p.k,
            delta=p.delta,
            measurements_per_coefficient=p.measurements_per_coefficient,
            dither=p.dither,
        )

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Make the key, or check the given one against ``X`` (n, L) and the parameters.

        Raises
        ------
        HashingError
            a parameter is out of range, or key, parameters and features do not fit together.
        """
        validate_data(self, X, dtype=np.float64)
        parameters = HashParameters(
            self.n_features_in_, self.k, self.delta, self.measurements_per_coefficient, self.dither
        )
        if self.key is None:
            self.key_ = HashKey.generate(parameters, seed=self.seed)
        elif self.seed is not None:
            raise HashingError("key-and-seed", "give a key or a seed, not both")
        elif self.key.parameters != parameters:
            raise HashingError(
                "other-parameters",
                f"the key is for {_difference(self.key.parameters, parameters)}: "
                "use SecureModularHash.from_key(key) and features of its size",
            )
        else:
            self.key_ = self.key
        self.seed_ = self.seed
        return self

    def transform(self, X: npt.ArrayLike) -> Symbols:
        """Hash ``X`` (n, L): (n, M) uint8."""
        check_is_fitted(self)
        return modular_hash(validate_data(self, X, reset=False, dtype=np.float64), self.key_)

    @property
    def _n_features_out(self) -> int:
        return self.key_.parameters.symbols

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []
        tags.non_deterministic = self.key is None and self.seed is None
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        fitted: HashKey | None = state.pop("key_", None)
        if self.key is not None or (fitted is not None and self.seed_ is None):
            raise BadType(
                "never-pickled",
                "a SecureModularHash with a secret key is never pickled: save its key with key_.save(path)",
            )
        if fitted is not None:
            state["_parameters"] = fitted.parameters
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        parameters = state.pop("_parameters", None)
        super().__setstate__(state)
        if parameters is not None:
            self.key_ = HashKey.generate(parameters, seed=self.seed_)


def _difference(key: HashParameters, wanted: HashParameters) -> str:
    """The first parameter in which a key differs from what is wanted."""
    for name in ("inputs", "k", "delta", "measurements_per_coefficient", "dither"):
        has, wants = getattr(key, name), getattr(wanted, name)
        if has != wants:
            return f"{name} = {has}, not {wants}"
    return "other parameters"
