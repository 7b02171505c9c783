"""The result row: what one paradigm in one setting cost, answered and leaked.

Every command that measures prints and writes lists of these rows; the JSON Schema beside this file is generated from
the classes here, and every file is checked against it when it is written.  Code that makes a row names what applies:
the rest is ``none`` where it is a name, and ``null`` where it is a figure, which means not applicable;
:mod:`sotto.bench.rows.missing_values` says why, cell by cell.  The paradigm is ``plaintext`` where nothing is private.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from sotto.bench.rows.machine import machine, software

JSONValue = str | int | float | bool | None | list[Any]
Metrics = Mapping[str, float | None]

_Z = 1.959964  # standard normal quantile of 97.5 %


class Timing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Milliseconds of wall clock: the median and the 95th percentile of the runs."""

    median: float
    p95: float


class Traffic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bytes each party put on its links for one query, frame headers included."""

    alice: int
    bob: int
    dealer: int | None


#: Whether Alice's speech is hidden from Bob.
Hides = Literal["yes", "partly", "no"]


#: Where features are computed.
FeaturesAt = Literal["alice", "circuit", "bob", "none"]


class Interval(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A 95 % interval by Wilson's method, as shares."""

    low: float
    high: float

    @classmethod
    def of(cls, hits: int, asked: int) -> Interval:
        """Of a share of ``hits`` among ``asked`` > 0."""
        centre, reach = hits + _Z**2 / 2, _Z * math.sqrt(hits * (asked - hits) / asked + _Z**2 / 4)
        low, high = ((centre + side) / (asked + _Z**2) for side in (-reach, reach))
        return cls(max(0.0, low), min(1.0, high))


class Spent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a phase took: milliseconds that Alice waited, bytes that all parties sent, and processor time by party."""

    ms: float
    bytes: int
    cpu_seconds: Mapping[str, float] = {}


class Cost(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """US dollars for a million queries: of processors, of traffic, and by which price list."""

    processor_usd: float
    traffic_usd: float
    prices: str


class Security(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Against whom the row's paradigm protects, who must be trusted, how strongly, and what leaks all the same.

    ``hides`` says whether Alice's speech stays hidden from Bob, after the attacks that are known; ``broken`` which
    attack undoes what the paradigm sets out to hide, empty where none does.
    """

    adversary: str
    trusted: str
    computational_bits: int | None
    statistical_bits: int | None
    leaks: str
    hides: Hides = "no"
    broken: str = ""


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One row of a result.

    ``accuracy_plain`` is the plaintext model's over the whole test split; ``accuracy_private`` the paradigm's over the
    ``n_queries`` clips it answered, with ``accuracy_interval``; ``agreement`` the share of those on which both give the
    same class.  ``accuracy_loss`` is what the plaintext model has more on the same clips.  A row that was asked fewer
    clips than the others of its table (the metric ``table_clips``) has no accuracy.
    ``max_abs_error`` is the largest difference between private and plaintext scores, deliberate rounding included.
    ``offline_ms`` is what comes before Alice's features: once a session (keys; both parties' processes stand and Bob's
    model is loaded), or, in a paradigm that makes something ready for every query (mpc), for each query of one clip;
    the metric ``session_ms`` is the set-up once a session everywhere.  ``online_ms`` is one query of one clip from
    Alice's features to Alice's answer, ``per_query_ms_batched`` the same per clip when many go together; ``bytes`` and
    ``rounds`` are those of one query online.  ``key_bytes`` is key material: sent each session (he), handed over
    beforehand (hashing, keyed), or sent by the dealer for each query of one clip (mpc).  ``peak_rss_mb``: of the
    largest party process.
    ``features_at`` says where features were computed: ``alice``, on the device of whoever speaks; ``circuit``, of
    Alice's samples in what Bob evaluates without seeing them; ``bob``, of samples that it was sent in the clear;
    ``none`` where the model was given examples as they are, samples for instance.
    ``total`` is one query, offline and online; ``session`` what comes once before any of them.  ``energy_joules`` is
    what the processors' packages took during a query and what was prepared for it, whatever else ran on them.
    ``cost`` is of a million queries.  Metrics named ``attack_…`` are what the paradigm's attackers reached,
    ``attacks_that_failed`` how many could not be run; ``timed_queries`` and ``timed_sessions`` say
    how many runs the timings rest on; ``accuracy_plain_on_asked`` is the plaintext model on the clips that were asked.
    """

    paradigm: str
    mode: str
    model: str = "none"
    corpus: str = "none"
    split: str = "none"
    seed: int
    n_queries: int
    parameters: Mapping[str, JSONValue] = {}
    features_at: FeaturesAt = "none"
    accuracy_plain: float | None = None
    accuracy_private: float | None = None
    accuracy_interval: Interval | None = None
    accuracy_loss: float | None = None
    agreement: float | None = None
    max_abs_error: float | None = None
    metrics: Metrics = {}
    published: Metrics = {}
    offline_ms: Timing | None = None
    online_ms: Timing | None = None
    per_query_ms_batched: float | None = None
    bytes: Traffic | None = None
    rounds: int | None = None
    key_bytes: int | None = None
    peak_rss_mb: float | None = None
    total: Spent | None = None
    session: Spent | None = None
    energy_joules: float | None = None
    cost: Cost | None = None
    security: Security | None = None
    software: Mapping[str, str] = msgspec.field(default_factory=software)
    machine: Mapping[str, JSONValue] = msgspec.field(default_factory=machine)

    @property
    def of_samples(self) -> bool:
        """Whether Alice computed no features, where others do."""
        return self.features_at in ("circuit", "bob")


def told(metrics: Metrics) -> str:
    """Names and values on one line, for progress."""
    return ", ".join(f"{name} {value:.3g}" for name, value in metrics.items() if value is not None)


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a list of rows.  A file has every field, also those that a default filled in."""
    schema = msgspec.json.schema(list[Row])
    fields = schema["$defs"]["Row"]["properties"]
    schema["$defs"]["Row"]["required"] = list(fields)
    for each in fields.values():
        each.pop("default", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Sotto results",
        "description": "A list of result rows, as written by sotto bench and sotto reproduce.",
    } | schema
