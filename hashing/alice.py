"""Alice: has speech and the secret key, sends hashes, gets classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError
from sotto.hashing.messages import MOST_CLASSES, MOST_HASHES, TRIP, Hello, Query, Ready, Reply, reply_limit
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import pack
from sotto.link import Answer, FrameError, Link, Reveal, RoundTripAlice, as_numbers


class Alice(RoundTripAlice[Hello, Ready, Query, Reply]):
    """Asks about features under a secret key.

    Parameters
    ----------
    key
        the key, or the path of its file; a path is what goes to another process.
    reveal
        ``"class"``, or ``"logits"`` to ask for the decision values too, which Bob has to agree to.

    Raises
    ------
    KeyFileError
        the key file cannot be used. HashingError: another ``reveal``.
    """

    def __init__(self, key: HashKey | str | Path, *, reveal: Reveal = "class") -> None:
        super().__init__(TRIP, reveal, error=HashingError)
        self._key = key if isinstance(key, HashKey) else HashKey.load(key)
        self._classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<Alice with {self._key!r}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that labels point into; empty before :meth:`prepare`."""
        return self._classes

    def _hello(self) -> Hello:
        parameters = self._key.parameters
        return Hello(1, parameters.k, parameters.symbols, self._key.fingerprint, self._reveal)

    def _accept(self, ready: Ready) -> None:
        if not 2 <= len(ready.classes) <= MOST_CLASSES or not 1 <= ready.most <= MOST_HASHES:
            raise FrameError(
                "bad-terms", f"Bob announced fewer than 2 or more than {MOST_CLASSES} classes, or no room for a query"
            )

    def _greeted(self, link: Link) -> Ready:
        ready = super()._greeted(link)
        self._classes = ready.classes
        return ready

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Classify features (n, L), normalised as the training features were.

        Labels are positions in :attr:`classes`.  What is not finite is replaced, and the answer's warnings say so.

        Raises
        ------
        HashingError
            the features do not fit the key, or are more than Bob takes at once. PeerError, FrameError.
        """
        values, warnings = as_numbers(features, dtype=np.float64, error=HashingError)
        symbols = modular_hash(values, self._key)
        ready = self._greeted(link)
        _require_query_size(len(symbols), ready)
        hashes, classes = pack(symbols, self._key.parameters.k), len(ready.classes)
        query, limit = Query(1, len(hashes), hashes.to_bytes()), reply_limit(len(hashes), classes, self._reveal)
        return self._answer(query, link, count=len(hashes), classes=classes, limit=limit, warnings=warnings)


def _require_query_size(count: int, ready: Ready) -> None:
    """Raises HashingError for more hashes than Bob takes at once."""
    if count > ready.most:
        raise HashingError("too-many-hashes", f"Bob takes {ready.most} hashes in one query, not {count}: ask in parts")
