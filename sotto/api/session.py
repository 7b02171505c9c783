"""A session as its user sees it, whatever the paradigm and wherever the parties are."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from sotto.api.costs import Costs, Step
from sotto.api.errors import InputRefused, SessionError, in_session
from sotto.bench.own_model import Shape
from sotto.link import Answer


class Session(ABC):
    """Examples in, classes out.  A context manager; belongs to one thread.

    Attributes
    ----------
    paradigm, mode
        what answers.
    input_shape
        shape of one example; None for a length that may be any.
    classes
        names of what labels stand for, empty where nobody has named them.
    error_bound
        with ``reveal="values"``: how far a value can be from the float network's at most; None where nothing is
        proven.
    """

    def __init__(
        self,
        paradigm: str,
        mode: str,
        input_shape: Shape,
        classes: tuple[str, ...],
        error_bound: float | None,
        costs: Costs,
        stack: ExitStack,
    ) -> None:
        """``costs`` of the set-up; ``stack`` ends what the session holds."""
        self.paradigm, self.mode, self.error_bound = paradigm, mode, error_bound
        self.input_shape, self.classes = input_shape, classes
        self._costs, self._stack = costs, stack
        self._ready: defaultdict[int, deque[Step]] = defaultdict(deque)  # what was provisioned, by examples
        self._over = ""

    def __repr__(self) -> str:
        state = "over" if self._over else "open"
        return f"<{self.paradigm}/{self.mode} session, examples of {_shown(self.input_shape)}, {state}>"

    def ask(self, x: Any) -> Answer:
        """Have Bob's model classify examples that Bob does not get to see.

        Parameters
        ----------
        x
            anything that ``numpy.asarray`` takes, (n, \\*input_shape) real numbers, n ≥ 1, features as the model
            takes them; one example without its batch axis is a batch of one.  They are asked about as float32.

        Returns
        -------
        ``labels`` (n,) int64, positions in the model's outputs, and ``scores`` (n, classes) float32 if the session
        was opened with ``reveal="logits"``, else None.  With ``reveal="values"`` every label is -1, and the values
        are the scores.

        Raises
        ------
        InputRefused
            wrong shape, not finite, out of the model's range, too many at once; the session goes on.
        SessionError
            a party failed; the session is over.
        """
        self._require_open()
        values = as_batch(x, self.input_shape)
        with self._ending_with_errors():
            return self._ask(values)

    def provision(self, n: int = 1) -> None:
        """Make ready what the next query of ``n`` examples needs and what does not depend on them: the offline phase.

        :meth:`ask` does it by itself when it was not done.  Only ``mpc`` has something to make for every query;
        elsewhere nothing happens.

        Raises
        ------
        InputRefused
            ``n`` is no whole number above 0, or more than the model takes at once. SessionError.
        """
        self._require_open()
        if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < 1:
            raise InputRefused(
                "bad-count", f"provision takes how many examples come next, a whole number from 1, not {n!r:.40}"
            )
        with self._ending_with_errors():
            self._provision(int(n))

    @property
    def costs(self) -> Costs:
        """What the set-up and the last query cost."""
        return self._costs

    def close(self) -> None:
        """End the session and, where they were started for it, its processes; harmless when it is over."""
        if not self._over:
            self._over = "it was closed"
            self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_over", "never opened"):
            warnings.warn(f"{self!r} was not closed: use it in a with statement", ResourceWarning, stacklevel=2)
            self.close()

    @abstractmethod
    def _ask(self, values: npt.NDArray[np.float32]) -> Answer: ...

    @abstractmethod
    def _provision(self, n: int) -> None: ...

    def _book(self, n: int, online: Step, offline: Step | None = None, **more: Any) -> None:
        """What a query of ``n`` examples cost, with the next of the offline phases provisioned where it had none."""
        if offline is None and self._ready[n]:
            offline = self._ready[n].popleft()
        self._costs = Costs(self._costs.setup, offline, online, n, self._costs.queries + 1, **more)

    def _require_open(self) -> None:
        if self._over:
            raise SessionError("session-over", f"the session is over ({self._over}): open a new one")

    @contextmanager
    def _ending_with_errors(self) -> Iterator[None]:
        """The session is over with whatever leaves the block, but for input that was refused before it was sent."""
        try:
            with in_session():
                yield
        except InputRefused:
            raise
        except BaseException as error:
            self._over = str(error)[:200] or type(error).__name__
            self._stack.close()
            raise


def as_batch(x: Any, shape: Shape) -> npt.NDArray[np.float32]:
    """``x`` as float32 (n, \\*shape), n ≥ 1, finite.  Raises :class:`InputRefused`; never quotes a value."""
    if hasattr(x, "detach"):
        x = x.detach().cpu()  # a tensor that a network has made
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # NumPy's about ragged lists
            given = np.asarray(x)
    except (ValueError, TypeError, RuntimeError, Warning):
        raise InputRefused("not-numbers", "the examples are no array of numbers") from None
    if given.dtype.kind not in "fiub":
        raise InputRefused("wrong-dtype", f"the examples are an array of {given.dtype}, not of real numbers")
    if given.ndim == len(shape):
        given = given[None]
    wanted = _shown(shape)
    fits = given.ndim == len(shape) + 1 and all(
        want in (None, have) for want, have in zip(shape, given.shape[1:], strict=True)
    )
    if not fits:
        raise InputRefused(
            "wrong-shape", f"one example is {wanted}, or n of them n × {wanted}, not {_shown(np.shape(x))}"
        )
    if not given.size:
        raise InputRefused("no-example", "there is no example to ask about")
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(given, np.float32)
    if not np.isfinite(values).all():
        raise InputRefused("not-finite", "the examples hold NaN or infinity: check the recording and the normalisation")
    return values


def _shown(shape: Shape) -> str:
    return " × ".join("any" if length is None else str(length) for length in shape) or "a single number"
