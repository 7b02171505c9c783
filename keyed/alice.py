"""Alice has the speech and a key from the model owner; she sends encrypted speech and gets the answers.

She trusts the model owner with the key, and the provider (Bob) to run the model as agreed.  Bob learns the answers, the
encrypted speech, and everything that the transform leaves visible (:mod:`sotto.keyed.attacks`).
"""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sotto.keyed.errors import WrongShapeError
from sotto.keyed.key_file import load_key
from sotto.keyed.keys import Key
from sotto.keyed.messages import (
    HELLO,
    MOST_CLASSES,
    MOST_HELLO,
    MOST_REPLY,
    QUERY,
    READY,
    REPLY,
    VERSION,
    Hello,
    Query,
    Ready,
    Reply,
    Reveal,
)
from sotto.keyed.transform import encrypt
from sotto.link import Answer, Array, FrameError, Link, as_numbers, decode, encode, transaction


class Alice:
    """The data owner's side.

    Args:
        key: the key, or the path of its file.
        reveal: "class" for labels alone, "logits" for the scores as well.  Bob computes both either way.
    """

    def __init__(self, key: Key | str | Path, *, reveal: Reveal = "class") -> None:
        if reveal not in ("class", "logits"):
            raise ValueError(f"reveal is 'class' or 'logits', not {reveal!r}")
        self._key = key if isinstance(key, Key) else load_key(key)
        self._reveal: Reveal = reveal
        self._prepared: weakref.WeakSet[Link] = weakref.WeakSet()

    def __repr__(self) -> str:
        return f"<Alice with {self._key!r}>"

    def prepare(self, link: Link) -> None:
        """Once per link: make sure that Bob hosts a model for this key, before any speech leaves.

        Raises:
            PeerError: Bob's model is for another key.
        """
        if link in self._prepared:
            return
        with transaction(link):
            link.send(HELLO, encode(Hello(VERSION, self._key.fingerprint)))
            received = link.receive(READY, limit=MOST_HELLO)
        decode(received, Ready)
        self._prepared.add(link)

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """Ask about a batch.

        Args:
            features: numbers (n, ..., samples) or (n, ..., mel bands, frames), normalised as the model expects.  What
                does not fill a block at the end is not sent: the model does not read it.  What is not finite is
                replaced, and the answer's warnings say so.

        Raises:
            WrongShapeError: features that cannot be encrypted; nothing of the query has been sent then.
            FrameError: Bob's answer does not fit the question.  LinkError: the link failed.
        """
        encrypted, warnings = self._encrypted(features)
        self.prepare(link)
        n = len(encrypted)
        each = 8 if self._reveal == "class" else 8 + 4 * MOST_CLASSES
        with transaction(link):
            link.send(QUERY, encode(Query(Array.of(encrypted), self._reveal)))
            reply = link.receive(REPLY, limit=min(4096 + n * each, MOST_REPLY))
        return self._checked(decode(reply, Reply), n).warned(*warnings)

    def _encrypted(self, features: npt.ArrayLike) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
        try:
            values, warnings = as_numbers(features)
        except ValueError as error:
            raise WrongShapeError(str(error)) from None
        if values.ndim <= self._key.dimension or not len(values):
            raise WrongShapeError(
                f"features are a batch of numbers with {self._key.dimension} block axes last, not {values.shape}"
            )
        return encrypt(torch.from_numpy(values.copy()), self._key).numpy(), warnings

    def _checked(self, reply: Reply, n: int) -> Answer:
        labels = reply.labels.numpy(dtype=np.int64, shape=(n,))
        if (reply.scores is None) != (self._reveal == "class"):
            raise FrameError("the peer's reply does not hold what was asked for: both sides need the same release")
        scores = None if reply.scores is None else reply.scores.numpy(dtype=np.float32, shape=(n, None))
        most = MOST_CLASSES if scores is None else scores.shape[1]
        if scores is not None and not np.isfinite(scores).all():
            raise FrameError("the peer's scores are not finite numbers")
        if labels.min() < 0 or labels.max() >= most:
            raise FrameError("the peer's reply names classes that are none")
        return Answer(labels, scores)
