"""Rows for figures of plaintext models, where no party asks and nothing is sent."""

from __future__ import annotations

from collections.abc import Mapping

from sotto.bench.row import JSONValue, Row


def plaintext_row(
    *,
    mode: str,
    model: str,
    corpus: str,
    split: str,
    seed: int,
    n_queries: int,
    parameters: Mapping[str, JSONValue],
    accuracy: float | None,
    metrics: Mapping[str, float | None],
    published: Mapping[str, float | None],
) -> Row:
    """A row of paradigm ``plaintext``: every figure of a private run is null."""
    return Row(
        paradigm="plaintext",
        mode=mode,
        model=model,
        corpus=corpus,
        split=split,
        seed=seed,
        n_queries=n_queries,
        parameters=parameters,
        accuracy_plain=accuracy,
        metrics=metrics,
        published=published,
    )
