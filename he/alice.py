"""Alice: makes the keys, encrypts her features, decrypts the logits, and tells only the class.

She trusts Bob to evaluate the model he described (semi-honest): a malicious Bob can answer anything.  She does not
trust him with her features, and checks the parameters he asks for against the 128-bit table before she makes keys.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from sotto.he.messages import (
    KEY_LIMIT,
    MAX_ANSWERS,
    MAX_PART,
    VERSION,
    AnyDescription,
    Hello,
    Published,
    Query,
    Ready,
    TensorDescription,
    receive_reply,
    receive_small,
    send_keys,
)
from sotto.he.planning.noise import LARGE_LOGIT, LOGIT_STEP
from sotto.he.planning.overflow import Overflowed
from sotto.he.session_secrets import Secrets, make_secrets
from sotto.link import Answer, BadValue, FrameError, Link, as_numbers, encode, fault_of_peer, transaction

log = logging.getLogger("sotto")

Reveal = Literal["class", "logits"]


class Alice:
    """The data owner's side.

    Attributes
    ----------
    clipped
        how many values of the last query lay outside [-1, 1] and were clipped.
    description
        what Bob published about his model; None before :meth:`prepare`.
    """

    def __init__(
        self,
        *,
        reveal: Reveal = "class",
        timeout: float | None = None,
        threads: int | None = None,
        key_limit: int = KEY_LIMIT,
        inputs: int | None = None,
        classes: int | None = None,
    ) -> None:
        """

        Parameters
        ----------
        reveal
            ``"class"`` for labels only, the safe default; ``"logits"`` also gives rounded scores. Raw
            decryptions are never given out: their low digits are the encryption's noise, from which whoever
            holds the ciphertext recovers the secret key (:mod:`sotto.he.attacks.raw_decryption`).
        timeout
            seconds Bob may take for one vector or one batch, or for loading the keys; None for what the
            link gives any message.
        threads
            threads of TenSEAL in mode ``"tenseal"``, None for all cores; the other modes use one.
        key_limit
            most bytes of keys that Bob may ask for; uncompressed, what is sent is a half or a quarter.
        inputs
            how many features Bob's model takes, as he said before; None takes what he describes.
        classes
            how many logits it gives, as above.
        """
        if reveal not in ("class", "logits"):
            raise BadValue("unknown-reveal", f"reveal is {reveal!r}; use 'class' or 'logits'")
        self.reveal = reveal
        self.timeout = timeout
        self.clipped = 0
        self.description: AnyDescription | None = None
        self._threads = threads
        self._key_limit = key_limit
        self._inputs, self._classes = inputs, classes
        self._secrets: Secrets | None = None
        self._link: Link | None = None

    def __repr__(self) -> str:
        return f"Alice(reveal={self.reveal!r}, {'prepared' if self._link else 'not prepared'})"

    def prepare(self, link: Link) -> None:
        """Learn the model's public description, make fresh keys, send Bob the public ones.  Once per link.

        Raises
        ------
        LinkError
            Bob asks for parameters below 128 bits, describes a model of another size than agreed, or the
            session failed.
        """
        if self._link is link:
            return
        with transaction(link, reason=fault_of_peer):
            link.send("he.hello", encode(Hello(VERSION)))
            description = receive_small(link, "he.model", Published, self.timeout).model
            if self._inputs not in (None, description.inputs) or self._classes not in (None, description.classes):
                raise FrameError(
                    "other-model", "bob describes a model of another size than it named before: do not use this service"
                )
            secrets = make_secrets(description, self._threads, self._key_limit)
            send_keys(link, secrets.public_material())
            receive_small(link, "he.ready", Ready, self.timeout)
        self.description, self._secrets, self._link = description, secrets, link

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        r"""Have Bob classify ``features`` (n, inputs) float32 in [-1, 1]; or (n, \*shape) of a model with several axes.

        Values outside [-1, 1] are clipped, counted in :attr:`clipped` and logged: the bounds that rule out overflow
        hold for that interval only.  That, a logit beyond the bound Bob declared, and an answer that contradicts itself
        (label -1) stand in the answer's warnings and end nothing: that she goes on must not depend on her features or
        on what she decrypts.

        Raises
        ------
        ValueError
            wrong shape, no numbers, or too many at once; nothing of the query has been sent then.
        FrameError
            Bob's answer is malformed.
        LinkError
            Bob is gone or late.
        """
        self.prepare(link)
        if self.description is None or self._secrets is None:
            raise RuntimeError("Alice has no session: prepare() did not finish")
        vectors, warnings = self._within_range(features, self.description)
        _require_query_size(len(vectors), self._secrets)
        with transaction(link):
            logits, odd, refused = self._logits(vectors, link, self.description, self._secrets)
        if refused:
            raise refused
        sound = np.isfinite(logits).all(axis=1)
        warnings += odd + _beyond_bound(logits[sound], self.description.logit_bound)
        labels = np.where(sound, logits.argmax(axis=1), -1).astype(np.int64)
        return Answer(labels, None if self.reveal == "class" else rounded(logits), warnings)

    def _logits(
        self, vectors: npt.NDArray[np.float64], link: Link, description: AnyDescription, secrets: Secrets
    ) -> tuple[npt.NDArray[np.float64], tuple[str, ...], FrameError | None]:
        """Send the vectors batch by batch and decrypt what comes back: (n, classes), NaN for what overflowed.

        All are sent whatever comes back, an answer that is no ciphertext too: Bob does not see what Alice thinks of it.
        """
        odd: tuple[str, ...] = ()
        logits = np.empty((len(vectors), description.classes))
        refused = None
        for start in range(0, len(vectors), secrets.rows):
            batch = vectors[start : start + secrets.rows]
            last = start + secrets.rows >= len(vectors)
            for message in _messages(secrets.encrypt(batch), last):
                link.send("he.query", encode(message))
            count = secrets.replies(len(batch))
            replies = [receive_reply(link, secrets.reply_bytes, self.timeout) for _ in range(count)]
            try:
                logits[start : start + len(batch)] = secrets.decrypt(replies, len(batch))
            except Overflowed as error:
                logits[start : start + len(batch)], odd = np.nan, (str(error),)
            except FrameError as error:
                refused = error
        return logits, odd, refused

    def _within_range(
        self, features: npt.ArrayLike, description: AnyDescription
    ) -> tuple[npt.NDArray[np.float64], tuple[str, ...]]:
        values, warnings = as_numbers(features, limit=1.0)
        inputs = description.inputs
        shape = description.shape if isinstance(description, TensorDescription) else (inputs,)
        if not values.ndim or not len(values) or values.shape[1:] not in (shape, (inputs,)):
            raise BadValue(
                "wrong-shape", f"features are (n, {', '.join(map(str, shape))}) with n > 0, got {values.shape}"
            )
        self.clipped = int(np.count_nonzero(np.abs(np.asarray(features, np.float32)) > 1))
        for warning in warnings:
            log.warning("%s", warning)
        return values.reshape(len(values), inputs).astype(np.float64), warnings


def _require_query_size(count: int, secrets: Secrets) -> None:
    """Raise ``ValueError`` for more vectors than Bob answers at once."""
    batches, rest = divmod(count, secrets.rows)
    if batches * secrets.replies(secrets.rows) + (secrets.replies(rest) if rest else 0) > MAX_ANSWERS:
        most = MAX_ANSWERS // secrets.replies(secrets.rows) * secrets.rows
        raise BadValue("too-many-examples", f"a query holds at most {most} examples, not {count}: ask in parts")


def _messages(ciphertexts: Iterator[bytes], last: bool) -> Iterator[Query]:
    """The messages of a batch, at most :data:`sotto.he.messages.MAX_PART` ciphertexts each."""
    part = tuple(itertools.islice(ciphertexts, MAX_PART))
    while part:
        following = tuple(itertools.islice(ciphertexts, MAX_PART))
        yield Query(VERSION, last and not following, part)
        part = following


def _beyond_bound(logits: npt.NDArray[np.float64], bound: float) -> tuple[str, ...]:
    # A warning and no error: whether a decryption is in range is itself something that Bob must not learn.
    if not logits.size or np.abs(logits).max() <= bound * 1.01 + LOGIT_STEP:
        return ()
    return (
        "a decrypted logit exceeds the bound Bob declared: the query is unlike what Bob's model was"
        " calibrated on, or the answer is wrong",
    )


def rounded(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Logits (n, classes) to the precision that they have, a power of two per row."""
    largest = np.abs(logits).max(axis=1, keepdims=True)
    step = LOGIT_STEP * 2.0 ** np.ceil(np.log2(np.maximum(1.0, largest / LARGE_LOGIT)))
    return (np.round(logits / step) * step).astype(np.float32)
