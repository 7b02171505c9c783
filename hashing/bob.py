"""Bob: has a classifier trained on hashes, sees hashes, answers classes. He must not have the key."""

from __future__ import annotations

import hmac
from pathlib import Path

from sotto.hashing.classification.svc import HammingSVC
from sotto.hashing.errors import HashingError
from sotto.hashing.messages import MOST_HASHES, TRIP, Hello, Query, Ready, Reply, query_limit
from sotto.hashing.smh.bit_counts import fill_distances
from sotto.hashing.smh.packing import PackedHashes
from sotto.link import Array, FrameError, Reveal, RoundTripBob, require_revealed


class Bob(RoundTripBob[Hello, Ready, Query, Reply]):
    """Answers queries with a classifier.

    Parameters
    ----------
    classifier
        a fitted :class:`HammingSVC`, or the path of its file.
    classes
        names of its classes in order; default its labels as text.
    reveal
        the most he gives: ``"class"``, or ``"logits"`` to give decision values to an Alice who asks for them.
        Decision values say more about his training hashes than classes do.
    most
        hashes he takes in one query.

    Raises
    ------
    HashFileError
        the file cannot be used. HashingError: an argument is out of range.
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
            raise HashingError("no-classifier", "Bob needs a classifier that was trained on hashes")
        if not 1 <= most <= MOST_HASHES:
            raise HashingError("bad-most", f"most is {most}; use 1 to {MOST_HASHES} hashes in one query")
        fill_distances(hashes.planes.shape[1])  # compiled now, so that no query waits for it
        self._k, self._symbols = hashes.k, hashes.symbols
        self._classes = tuple(str(label) for label in self._classifier.classes_) if classes is None else classes
        if len(self._classes) != len(self._classifier.classes_):
            raise HashingError(
                "class-count", f"the classifier has {len(self._classifier.classes_)} classes, not {len(self._classes)}"
            )
        self._most = most
        super().__init__(TRIP, reveal, query_limit(self._k, self._symbols, most), error=HashingError)

    def __repr__(self) -> str:
        return f"<Bob with {len(self._classes)} classes for hashes of {self._symbols} symbols, k={self._k}>"

    def _greet(self, hello: Hello) -> Ready:
        if (hello.k, hello.symbols) != (self._k, self._symbols):
            raise FrameError(
                "wrong-hash-size",
                f"this classifier takes hashes of {self._symbols} symbols with k = {self._k}, "
                f"not {hello.symbols} with k = {hello.k}",
            )
        trained = self._classifier.fingerprint_
        if trained and not hmac.compare_digest(trained.encode(), hello.fingerprint.encode()):
            raise FrameError("other-key", "this classifier was trained on hashes made with another key: use that key")
        require_revealed(hello.reveal, self._reveal)
        return Ready(1, self._classes, self._most)

    def _reply(self, query: Query, hello: Hello) -> Reply:
        if not 0 <= query.count <= self._most:
            raise FrameError("too-many-hashes", f"a query has at most {self._most} hashes")
        try:
            hashes = PackedHashes.from_bytes(query.hashes, count=query.count, k=self._k, symbols=self._symbols)
            labels, scores = self._classifier.answer(hashes)
        except HashingError as error:
            raise FrameError("bad-query", str(error)) from None
        return Reply(1, Array.of(labels), Array.of(scores) if hello.reveal == "logits" else None)
