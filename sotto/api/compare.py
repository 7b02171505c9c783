"""One model in every paradigm that can run it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Console

from sotto.api.errors import InputRefused, ModelRefused, SessionError, of_model
from sotto.api.session import as_batch
from sotto.bench.own_model import Given, as_shape, default_name, require_place
from sotto.bench.own_models.comparison import Examples, compare_own
from sotto.bench.rows import results
from sotto.bench.rows.row import Row
from sotto.bench.rows.table import footnotes, tables
from sotto.bench.suite import Failure, LeftOut
from sotto.link import SHAPES, BadValue
from sotto.serving import registry
from sotto.serving.adapters import LoweringOptions

_log = logging.getLogger("sotto")


@dataclass(frozen=True)
class Comparison(Sequence[Row]):
    """The rows of a comparison, a sequence; ``print`` shows them as tables.

    Attributes
    ----------
    rows
        one :class:`sotto.bench.rows.row.Row` for each paradigm that ran.
    left_out
        why each of the others did not, by its name.
    written
        results.json, results.csv and report.html; empty where nothing was to be written.
    """

    rows: tuple[Row, ...]
    left_out: Mapping[str, str]
    written: tuple[Path, ...] = ()

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __repr__(self) -> str:
        ran = ", ".join(f"{row.paradigm}/{row.mode}" for row in self.rows)
        return f"<comparison: {ran or 'no rows'}; left out: {', '.join(self.left_out) or 'nothing'}>"

    def __str__(self) -> str:
        out = Console(file=io.StringIO(), width=100)
        for table in tables(self.rows, self.rows[0].model):
            out.print(table)
        lines = [*footnotes(self.rows, None), *(f"left out: {name}: {why}" for name, why in self.left_out.items())]
        return "\n".join([out.file.getvalue(), *lines])  # type: ignore[attr-defined]


def compare(
    model: Any,
    x: Any,
    y: npt.ArrayLike,
    *,
    paradigms: Sequence[str] | None = None,
    out: str | Path | None = "results",
    input_shape: int | Sequence[int] | None = None,
    key: Any = None,
    sensor: Any = None,
    calibration: npt.ArrayLike | None = None,
    features_at: Literal["alice", "circuit"] = "alice",
    net: str = "loopback",
    singles: int = 20,
    name: str | None = None,
) -> Comparison:
    """Run a model in several paradigms on the same examples: answers, agreement, time, bytes, memory, side by side.

    Each paradigm's parties are processes of their own, as :func:`sotto.local` starts them, one paradigm after the
    other.  ``singles`` queries of one example are timed one by one, the other examples go in batches.  Attackers are
    not run; what each paradigm leaks in general stands in its row.

    Parameters
    ----------
    model
        as for :func:`sotto.local`.  A copy is used in evaluation mode.
    x
        (n, \\*input_shape), examples as the model takes them that it was not trained on; anything that
        ``numpy.asarray`` takes.
    y
        (n,) whole numbers, their classes: positions in the model's outputs.
    paradigms
        ``"mpc"`` or, with a mode, ``"mpc/semi-honest"``; by default every paradigm in its first mode.
    out
        folder for results.json, results.csv and report.html; None writes nothing.
    input_shape
        of one example; by default all axes of ``x`` but the first.
    key
        as for :func:`sotto.local`.
    sensor
        as for :func:`sotto.local`.
    calibration
        as for :func:`sotto.local`; ``x`` itself is never taken for it.
    features_at
        as for :func:`sotto.local`; ``"circuit"``: ``x`` are samples.
    net
        as for :func:`sotto.local`.
    singles
        how many queries are timed one by one.
    name
        what the rows call the model; by default its file or class, or the layers of an ``nn.Sequential``.

    Returns
    -------
    A :class:`sotto.api.compare.Comparison`: the rows, and why each paradigm that was left out was.

    Raises
    ------
    ModelRefused
        none of the paradigms can run this model; the message says why for each.
    InputRefused
        ``x`` or ``y`` cannot be used.
    SessionError
        a party failed while it ran; what was measured until then is written.
    """
    if net not in SHAPES:
        raise BadValue("unknown-net", f"net is one of {', '.join(SHAPES)}, not '{str(net)[:40]}'")
    require_place(features_at)
    with of_model("compare"):
        shape = as_shape(input_shape)
    if shape is None:
        shape = _shape(x)
    queries = as_batch(x, shape)
    examples = Examples(
        queries, _classes(y, len(queries)), features_at="circuit" if features_at == "circuit" else "none"
    )
    lowering = LoweringOptions(features_at=features_at)
    wanted = list(dict.fromkeys(paradigms if paradigms is not None else registry.names()))
    folder = Path(out) if out is not None else None
    if folder:
        results.require_writable(folder)
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    failures: list[Failure] = []
    for outcome in compare_own(
        model,
        name or default_name(model),
        examples,
        wanted,
        lambda private, mode: Given(private, mode, shape, key, sensor, calibration, lowering=lowering),
        nets=[net],
        singles=singles,
        say=_log.info,
    ):
        if isinstance(outcome, Row):
            rows.append(outcome)
        elif isinstance(outcome, LeftOut):
            left_out[outcome.paradigm] = outcome.reason
        else:
            failures.append(outcome)
    written = _written(rows, left_out, folder) if folder and rows else ()
    if failures:
        raise SessionError("comparison-failed", f"{failures[0].cell}: {failures[0].error}") from failures[0].error
    if not rows:
        raise ModelRefused(
            "nothing-runs", "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "no paradigm was named"
        )
    return Comparison(tuple(rows), left_out, written)


def _written(rows: Sequence[Row], left_out: Mapping[str, str], folder: Path) -> tuple[Path, ...]:
    from sotto import report

    notice = "; ".join(f"left out: {name}: {why}" for name, why in left_out.items()) or None
    return (*results.write(rows, folder), report.write(rows, folder / "report.html", notice))


def _shape(x: Any) -> tuple[int, ...]:
    """Of one example, when ``x`` is a batch of them."""
    try:
        shape = np.shape(x.detach() if hasattr(x, "detach") else x)
    except ValueError:
        raise InputRefused("not-numbers", "the examples are no array of numbers") from None
    if len(shape) < 2:
        raise InputRefused("no-batch", "x is a batch of examples, (n, …), with their features behind the first axis")
    return tuple(int(length) for length in shape[1:])


def _classes(y: npt.ArrayLike, n: int) -> npt.NDArray[np.int64]:
    given = np.asarray(y)
    if given.shape != (n,) or given.dtype.kind not in "iu" or given.min() < 0:
        raise InputRefused(
            "bad-labels", f"y is one class index, a whole number from 0, for each of the {n} examples: ({n},)"
        )
    return given.astype(np.int64)
