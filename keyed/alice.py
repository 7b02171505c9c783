"""Alice has the speech and a key from the model owner; she sends encrypted speech and gets the answers.

She trusts the model owner with the key, and the provider (Bob) to run the model as agreed.  Bob learns the answers, the
encrypted speech, and everything that the transform leaves visible (:mod:`sotto.keyed.attacks`).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sotto.keyed.encryption.key_file import load_key
from sotto.keyed.encryption.keys import Key
from sotto.keyed.encryption.transform import encrypt
from sotto.keyed.errors import WrongShapeError
from sotto.keyed.messages import REPLY_LIMIT, TRIP, VERSION, Hello, Query, Ready
from sotto.link import MOST_CLASSES, Answer, Array, Link, Reply, Reveal, RoundTripAlice, as_numbers


class Alice(RoundTripAlice[Hello, Ready, Query, Reply]):
    """The data owner's side.

    Parameters
    ----------
    key
        the key, or the path of its file.
    reveal
        "class" for labels alone, "logits" for the scores as well.  Bob computes both either way.
    """

    def __init__(self, key: Key | str | Path, *, reveal: Reveal = "class") -> None:
        super().__init__(TRIP, reveal)
        self._key = key if isinstance(key, Key) else load_key(key)

    def __repr__(self) -> str:
        return f"<Alice with {self._key!r}>"

    def _hello(self) -> Hello:
        return Hello(VERSION, self._key.fingerprint)

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Ask about a batch.

        Parameters
        ----------
        features
            numbers (n, ..., samples) or (n, ..., mel bands, frames), normalised as the model expects.  What
            does not fill a block at the end is not sent: the model does not read it.  What is not finite is
            replaced, and the answer's warnings say so.

        Raises
        ------
        WrongShapeError
            features that cannot be encrypted; nothing of the query has been sent then.
        FrameError
            Bob's answer does not fit the question.  LinkError: the link failed.
        """
        encrypted, warnings = self._encrypted(features)
        self._greeted(link)
        each = 8 if self._reveal == "class" else 8 + 4 * MOST_CLASSES
        limit = min(4096 + len(encrypted) * each, REPLY_LIMIT)
        query = Query(Array.of(encrypted), self._reveal)
        return self._answer(query, link, count=len(encrypted), classes=None, limit=limit, warnings=warnings)

    def _encrypted(self, features: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
        values, warnings = as_numbers(features, error=WrongShapeError)
        _require_query_size(values.shape, self._key.dimension)
        return encrypt(values, self._key), warnings


def _require_query_size(shape: tuple[int, ...], dimension: int) -> None:
    """Raises WrongShapeError for no example, or for one without the axes of a block."""
    if len(shape) <= dimension or not shape[0]:
        raise WrongShapeError(
            "wrong-shape", f"features are a batch of numbers with {dimension} block axes last, not {shape}"
        )
