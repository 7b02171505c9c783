"""Alice: has speech and the secret key, sends hashes, gets classes."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sotto.hashing.errors import HashingError
from sotto.hashing.protocol import (
    ANSWER,
    HELLO,
    MOST_CLASSES,
    MOST_HASHES,
    QUERY,
    READY,
    READY_LIMIT,
    Hello,
    Query,
    Ready,
    Reply,
    Reveal,
    reply_limit,
)
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import pack
from sotto.link import Answer, FrameError, Link, as_numbers, decode, encode, transaction


class Alice:
    """Asks about features under a secret key.

    Args:
        key: the key, or the path of its file; a path is what goes to another process.
        reveal: ``"class"``, or ``"logits"`` to ask for the decision values too, which Bob has to agree to.

    Raises:
        KeyFileError: the key file cannot be used. HashingError: another ``reveal``.
    """

    def __init__(self, key: HashKey | str | Path, *, reveal: Reveal = "class") -> None:
        if reveal not in ("class", "logits"):
            raise HashingError(f'reveal is {str(reveal)[:20]!r}; use "class" or "logits"')
        self._key = key if isinstance(key, HashKey) else HashKey.load(key)
        self._reveal: Reveal = reveal
        self._link: weakref.ref[Link] | None = None
        self._ready: Ready | None = None

    def __repr__(self) -> str:
        return f"<Alice with {self._key!r}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that labels point into; empty before :meth:`prepare`."""
        return () if self._ready is None else self._ready.classes

    def prepare(self, link: Link) -> None:
        """Tell Bob the public parameters and wait until he is ready. Done once per link; :meth:`ask` does it if needed.

        Raises:
            PeerError: Bob's classifier was trained under another key, or he does not reveal scores. LinkError.
        """
        self._session(link)

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Classify features (n, L), normalised as the training features were.

        Labels are positions in :attr:`classes`.  What is not finite is replaced, and the answer's warnings say so.

        Raises:
            HashingError: the features do not fit the key, or are more than Bob takes at once. PeerError, FrameError.
        """
        try:
            values, warnings = as_numbers(features, dtype=np.float64)
        except ValueError as error:
            raise HashingError(str(error)) from None
        symbols = modular_hash(values, self._key)
        ready = self._session(link)
        if len(symbols) > ready.most:
            raise HashingError(f"Bob takes {ready.most} hashes in one query, not {len(symbols)}: ask in parts")
        hashes = pack(symbols, self._key.parameters.k)
        query = encode(Query(1, len(hashes), hashes.to_bytes()))
        with transaction(link):
            link.send(QUERY, query)
            reply = link.receive(ANSWER, limit=reply_limit(len(hashes), len(ready.classes), self._reveal))
        return self._read(decode(reply, Reply), len(hashes), len(ready.classes)).warned(*warnings)

    def _session(self, link: Link) -> Ready:
        if self._ready is not None and self._link is not None and self._link() is link:
            return self._ready
        parameters = self._key.parameters
        hello = Hello(1, parameters.k, parameters.symbols, self._key.fingerprint, self._reveal)
        with transaction(link):
            link.send(HELLO, encode(hello))
            received = link.receive(READY, limit=READY_LIMIT)
        ready = decode(received, Ready)
        if not 2 <= len(ready.classes) <= MOST_CLASSES or not 1 <= ready.most <= MOST_HASHES:
            raise FrameError(f"Bob announced fewer than 2 or more than {MOST_CLASSES} classes, or no room for a query")
        self._ready, self._link = ready, weakref.ref(link)
        return ready

    def _read(self, reply: Reply, count: int, classes: int) -> Answer:
        labels = reply.labels.numpy(dtype=np.int64, shape=(count,))
        if count and not (labels.min() >= 0 and labels.max() < classes):
            raise FrameError("Bob answered with a class that he did not announce")
        if (reply.scores is None) != (self._reveal == "class"):
            raise FrameError("Bob did not answer in the form that was agreed")
        if reply.scores is None:
            return Answer(labels)
        scores = reply.scores.numpy(dtype=np.float32, shape=(count, classes))
        if not np.isfinite(scores).all():
            raise FrameError("Bob answered with scores that are not finite")
        return Answer(labels, scores)
