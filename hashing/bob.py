"""Bob: has a classifier trained on hashes, sees hashes, answers classes. He must not have the key."""

from __future__ import annotations

import hmac
import weakref
from pathlib import Path

from sotto.hashing.classification.svc import HammingSVC
from sotto.hashing.errors import HashingError
from sotto.hashing.protocol import (
    ANSWER,
    HELLO,
    HELLO_LIMIT,
    MOST_HASHES,
    QUERY,
    READY,
    Hello,
    Query,
    Ready,
    Reply,
    Reveal,
    query_limit,
)
from sotto.hashing.smh.packing import PackedHashes
from sotto.link import Array, FrameError, Link, LinkClosed, decode, encode, fault_of_peer, transaction


class Bob:
    """Answers queries with a classifier.

    Args:
        classifier: a fitted :class:`HammingSVC`, or the path of its file.
        classes: names of its classes in order; default its labels as text.
        reveal: the most he gives: ``"class"``, or ``"logits"`` to give decision values to an Alice who asks for them.
            Decision values say more about his training hashes than classes do.
        most: hashes he takes in one query.

    Raises:
        HashFileError: the file cannot be used. HashingError: an argument is out of range.
    """

    def __init__(
        self,
        classifier: HammingSVC | str | Path,
        *,
        classes: tuple[str, ...] | None = None,
        reveal: Reveal = "class",
        most: int = 1 << 14,
    ) -> None:
        self._classifier = classifier if isinstance(classifier, HammingSVC) else HammingSVC.load(classifier)
        hashes = getattr(self._classifier, "support_hashes_", None)
        if not isinstance(hashes, PackedHashes):
            raise HashingError("Bob needs a classifier that was trained on hashes")
        if reveal not in ("class", "logits"):
            raise HashingError(f'reveal is {str(reveal)[:20]!r}; use "class" or "logits"')
        if not 1 <= most <= MOST_HASHES:
            raise HashingError(f"most is {most}; use 1 to {MOST_HASHES} hashes in one query")
        self._k, self._symbols = hashes.k, hashes.symbols
        self._classes = tuple(str(label) for label in self._classifier.classes_) if classes is None else classes
        if len(self._classes) != len(self._classifier.classes_):
            raise HashingError(f"the classifier has {len(self._classifier.classes_)} classes, not {len(self._classes)}")
        self._reveal: Reveal = reveal
        self._most = most
        self._sessions: weakref.WeakKeyDictionary[Link, Reveal] = weakref.WeakKeyDictionary()

    def __repr__(self) -> str:
        return f"<Bob with {len(self._classes)} classes for hashes of {self._symbols} symbols, k={self._k}>"

    def answer(self, link: Link) -> bool:
        """Handle set-up messages and then exactly one query; False when Alice closed before a query.

        Raises:
            FrameError: Alice sent something malformed or unfitting; she is told why. LinkTimeout.
        """
        while True:
            limits = {HELLO: HELLO_LIMIT}
            if link in self._sessions:
                limits[QUERY] = query_limit(self._k, self._symbols, self._most)
            try:
                name, payload = link.receive_any(limits)
            except LinkClosed:
                return False
            except BaseException as error:
                link.fail(fault_of_peer(error))
                raise
            with transaction(link, reason=fault_of_peer):
                try:
                    if name == QUERY:
                        self._classify(link, decode(payload, Query))
                        return True
                    self._greet(link, decode(payload, Hello))
                except HashingError as error:
                    raise FrameError(str(error)) from None

    def serve(self, link: Link) -> None:
        """Answer queries until Alice closes."""
        while self.answer(link):
            pass

    def _greet(self, link: Link, hello: Hello) -> None:
        if (hello.k, hello.symbols) != (self._k, self._symbols):
            raise HashingError(
                f"this classifier takes hashes of {self._symbols} symbols with k = {self._k}, "
                f"not {hello.symbols} with k = {hello.k}"
            )
        trained = self._classifier.fingerprint_
        if trained and not hmac.compare_digest(trained.encode(), hello.fingerprint.encode()):
            raise HashingError("this classifier was trained on hashes made with another key: use that key")
        if hello.reveal == "logits" and self._reveal == "class":
            raise HashingError(
                'Bob reveals classes only: ask with reveal="class", or let him start with reveal="logits"'
            )
        self._sessions[link] = hello.reveal
        link.send(READY, encode(Ready(1, self._classes, self._most)))

    def _classify(self, link: Link, query: Query) -> None:
        if not 0 <= query.count <= self._most:
            raise HashingError(f"a query has at most {self._most} hashes")
        hashes = PackedHashes.from_bytes(query.hashes, count=query.count, k=self._k, symbols=self._symbols)
        labels, scores = self._classifier.answer(hashes)
        shown = Array.of(scores) if self._sessions[link] == "logits" else None
        link.send(ANSWER, encode(Reply(1, Array.of(labels), shown)))
