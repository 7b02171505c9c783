"""What a query gives Alice, in every paradigm, and the reply that it comes in where Bob knows the answer himself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.link.errors import BadValue, Coded, FrameError
from sotto.link.messages import Array

Reveal = Literal["class", "logits"]
MOST_CLASSES = 1 << 16


@dataclass(frozen=True)
class Answer:
    """Class indices ``labels`` (n,) int64 and, only if asked for, ``scores`` (n, classes) float32.

    ``warnings``, for Alice alone, say what to doubt: features that did not go out as they were, a label that is no
    class.  They never end a session, because Bob sees that it ends.
    """

    labels: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float32] | None = None
    warnings: tuple[str, ...] = ()

    def warned(self, *warnings: str) -> Answer:
        """The same answer, these warnings first."""
        return Answer(self.labels, self.scores, warnings + self.warnings) if warnings else self


class AnyReply(Protocol):
    """``labels`` int64 (n,) and, only if asked for, ``scores`` float32 (n, classes), on the wire."""

    @property
    def labels(self) -> Array: ...

    @property
    def scores(self) -> Array | None: ...


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """int64 (n,) and, only if asked for, float32 (n, classes)."""

    labels: Array
    scores: Array | None

    @classmethod
    def of(cls, logits: npt.NDArray[np.float32], reveal: Reveal) -> Reply:
        """Labels, and the logits (n, classes) themselves where they are revealed."""
        return cls(Array.of(logits.argmax(1).astype(np.int64)), Array.of(logits) if reveal == "logits" else None)


def require_reveal(reveal: object, error: type[Coded] = BadValue) -> None:
    """Raises ``error`` for what cannot be asked for."""
    if reveal not in get_args(Reveal):
        raise error("unknown-reveal", f'reveal is {str(reveal)[:20]!r}; use "class" or "logits"')


def require_revealed(asked: Reveal, most: Reveal) -> None:
    """Raises FrameError when Alice asks for more than Bob gives."""
    if asked == "logits" and most == "class":
        raise FrameError(
            "reveal-classes-only",
            'Bob reveals classes only: ask with reveal="class", or start Bob with reveal="logits"',
        )


def read_reply(reply: AnyReply, count: int, classes: int | None, reveal: Reveal) -> Answer:
    """The answer in a reply about ``count`` examples, if it is one about ``classes`` classes (None: Bob did not say).

    Raises
    ------
    FrameError
        other shapes or types, another form than was asked for, labels of no class, scores not finite.
    """
    labels = reply.labels.numpy(dtype=np.int64, shape=(count,))
    if (reply.scores is None) != (reveal == "class"):
        raise FrameError(
            "wrong-form", "Bob did not answer in the form that was agreed: both sides need the same release"
        )
    scores = None if reply.scores is None else reply.scores.numpy(dtype=np.float32, shape=(count, classes))
    if scores is not None and not np.isfinite(scores).all():
        raise FrameError("not-finite", "Bob answered with scores that are not finite numbers")
    if scores is not None:
        classes = scores.shape[1]
    if count and not (labels.min() >= 0 and labels.max() < (MOST_CLASSES if classes is None else classes)):
        raise FrameError("unknown-class", "Bob answered with classes that it did not announce")
    return Answer(labels, scores)
