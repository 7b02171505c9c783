"""The rows of a run as the page shows them: one record for each row, every figure as a number and as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from sotto.audio.synthetic import NOTICE
from sotto.bench.rows.matrix import PLAINTEXT, Group, Price, grouped
from sotto.bench.rows.missing_values import null_fields, why
from sotto.bench.rows.row import Row
from sotto.bench.rows.table import NONE, attacks, interval, milliseconds, percent, points, times, usd
from sotto.report.attack_words import best, sentences


@dataclass(frozen=True)
class Column:
    """A column of the table: its heading, what it means, in which views it stands, whether it holds text."""

    key: str
    heading: str
    meaning: str
    views: str
    text: bool = False
    wide: bool = False


#: Views of the table: what a reader compares at one time.  Every column is in "all".
VIEWS = {"overview": "Overview", "answers": "Answers", "cost": "Cost", "trust": "Trust and attacks", "all": "All"}

COLUMNS = (
    Column("hides", "Hidden from Bob", "whether Alice's speech is, after the attacks that are known", "overview trust",
           text=True),
    Column("corpus", "Corpus", "and how it was split; no speaker is in two parts", "answers cost trust", text=True),
    Column("net", "Network", "between the parties", "cost", text=True),
    Column("plain", "Plaintext accuracy", "of the model without privacy, on the clips asked", "answers"),
    Column("slower", "Times slower", "one query, offline and online, beside the plaintext model", "overview cost"),
    Column("more", "Times the bytes", "of one query, offline and online, beside the plaintext model",
           "overview cost"),
    Column("private", "Accuracy", "of the private answers, on the clips asked", "overview answers"),
    Column("interval", "95 % interval", "of the accuracy, by Wilson's method", "answers"),
    Column("loss", "Points lost", "of accuracy against the plaintext model, on the same clips", "overview answers"),
    Column("agreement", "Agreement", "share of clips with the plaintext model's class", "overview answers"),
    Column("clips", "Clips", "that were asked", "overview answers cost"),
    Column("error", "Largest error", "of a score, against the plaintext model", "answers"),
    Column("online", "Online", "one query of one clip, from features to answer: median", "overview cost"),
    Column("p95", "95th percentile", "of the online time", "cost"),
    Column("offline", "Offline", "before the features: for each query (mpc) or once a session", "overview cost"),
    Column("batched", "Batched", "online time of a clip when many are asked together", "cost"),
    Column("total", "Total time", "of one query: offline and online", "cost"),
    Column("sent", "Total bytes", "that all parties sent for one query, offline and online", "cost"),
    Column("session", "Session", "what comes once before any query", "cost"),
    Column("cpu", "Processor", "time of all parties for one query, offline and online", "cost"),
    Column("usd", "USD for a million", "queries, at the prices in the notes, with their share of the session", "cost"),
    Column("energy", "Energy", "of the processors' packages for one query, whatever else ran", "cost"),
    Column("bytes", "Bytes online", "that all parties sent for one query", "overview cost"),
    Column("alice", "by Alice", "bytes that Alice sent online for one query", "cost"),
    Column("bob", "by Bob", "bytes that Bob sent online for one query", "cost"),
    Column("dealer", "by the dealer", "bytes that the dealer sent online for one query", "cost"),
    Column("rounds", "Rounds", "Alice's waits in one query", "overview cost"),
    Column("keys", "Keys", "key material: of a session (he), handed over before (hashing, keyed), of a query (mpc)",
           "overview cost"),
    Column("memory", "Memory", "peak of the largest party's process", "overview cost"),
    Column("adversary", "Protects against", "the party that learns no more than what leaks", "trust", text=True),
    Column("trusted", "Must be trusted", "besides Alice herself", "overview trust", text=True, wide=True),
    Column("bits", "Security bits", "computational / statistical", "trust"),
    Column("attack", "Best attack", "of those run: first what needs no more than the row's own adversary has, of these "
           "what reached furthest", "overview trust", text=True, wide=True),
    Column("leaks", "Leaks all the same", "to whom what", "overview trust", text=True, wide=True),
)  # fmt: skip

FEW = 50  # clips; an accuracy over fewer says little


def peer_of(row: Row) -> str | None:
    """The name of the other system that a peer's row measures; None for a paradigm of this project."""
    peer = row.parameters.get("peer")
    return str(peer) if peer else None


def setting_words(row: Row) -> str:
    """The parameters, without the network and the peer's name, which have their own places."""
    values = [f"{key.replace('_', ' ')} {value}" for key, value in row.parameters.items() if key not in ("net", "peer")]
    if row.of_samples and "features_at" not in row.parameters:
        values.append(f"features at {row.features_at}")
    return ", ".join(values) or NONE


def hidden_words(row: Row) -> str:
    """Whether Alice's speech is hidden from Bob, and what broke it."""
    if row.security is None:
        return NONE
    return f"{row.security.hides}{': ' if row.security.broken else ''}{row.security.broken}"


def byte_words(count: float | None) -> str:
    """Bytes with a unit that leaves three digits."""
    if count is None:
        return NONE
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} B"


def time_words(value: float | None) -> str:
    """Milliseconds, or seconds from ten thousand of them on."""
    if value is None:
        return NONE
    return f"{value / 1e3:,.1f} s" if value >= 1e4 else f"{milliseconds(value)} ms"


def record(number: int, row: Row, price: Price | None = None) -> dict[str, Any]:
    """A row for the page: identity, ``cells`` by column key as (number or None, text), and everything for details."""
    security, sent = row.security, row.bytes
    total = None if sent is None else sent.alice + sent.bob + (sent.dealer or 0)
    plain = row.metrics.get("accuracy_plain_on_asked", row.accuracy_plain)
    online, offline = row.online_ms, row.offline_ms
    spent, ratios = row.total, price or Price(row, None, None)
    cpu = sum(spent.cpu_seconds.values()) * 1e3 if spent and spent.cpu_seconds else None
    cells: dict[str, tuple[float | None, str]] = {
        "setting": (None, setting_words(row)),
        "hides": (None, hidden_words(row)),
        "corpus": (None, f"{row.corpus}, {row.split}"),
        "net": (None, net_of(row)),
        "plain": (plain, percent(plain)),
        "slower": (ratios.slower, times(ratios.slower)),
        "more": (ratios.more_bytes, times(ratios.more_bytes)),
        "private": _of_asked(row.accuracy_private, row),
        "interval": (row.accuracy_interval.low if row.accuracy_interval else None, interval(row.accuracy_interval)),
        "loss": (row.accuracy_loss, points(row.accuracy_loss)),
        "agreement": _of_asked(row.agreement, row),
        "clips": (row.n_queries, f"{row.n_queries:,}"),
        "error": (row.max_abs_error, NONE if row.max_abs_error is None else f"{row.max_abs_error:.1e}"),
        "online": _time(online.median if online else None),
        "p95": _time(online.p95 if online else None),
        "offline": _time(offline.median if offline else None),
        "batched": _time(row.per_query_ms_batched),
        "total": _time(spent.ms if spent else None),
        "sent": (spent.bytes if spent else None, byte_words(spent.bytes if spent else None)),
        "session": _time(row.session.ms if row.session else None),
        "cpu": _time(cpu),
        "usd": (row.cost.processor_usd + row.cost.traffic_usd if row.cost else None, usd(row.cost)),
        "energy": (row.energy_joules, NONE if row.energy_joules is None else f"{row.energy_joules:.3g} J"),
        "bytes": (total, byte_words(total)),
        **{
            role: (count, byte_words(count))
            for role, count in zip(
                ("alice", "bob", "dealer"),
                (sent.alice, sent.bob, sent.dealer) if sent else (None, None, None),
                strict=True,
            )
        },
        "rounds": (row.rounds, NONE if row.rounds is None else f"{row.rounds:,}"),
        "keys": (row.key_bytes, byte_words(row.key_bytes)),
        "memory": (row.peak_rss_mb, NONE if row.peak_rss_mb is None else f"{row.peak_rss_mb:,.0f} MB"),
        "adversary": (None, security.adversary if security else NONE),
        "trusted": (None, security.trusted if security else NONE),
        "bits": _bits(row),
        "leaks": (None, security.leaks if security else NONE),
        "attack": (None, best(row) or NONE),
    }
    return {
        "id": f"row-{number}",
        "paradigm": row.paradigm,
        "mode": row.mode,
        "model": row.model,
        "peer": peer_of(row),
        "corpus": f"{row.corpus}, {row.split}",
        "net": net_of(row),
        "hides": security.hides if security else "no",
        "broken": security.broken if security else "",
        "few": row.n_queries < FEW,
        "cells": cells,
        "why": {key: reasons for key, (_, words) in cells.items() if NONE in words and (reasons := _reasons(row, key))},
        "attacks": sentences(row) or attacks(row),
        "details": details(row),
    }


#: The fields that a cell stands for.
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "plain": ("accuracy_plain",), "private": ("accuracy_private",), "agreement": ("agreement",),
    "error": ("max_abs_error",), "online": ("online_ms",), "p95": ("online_ms",), "offline": ("offline_ms",),
    "batched": ("per_query_ms_batched",), "bytes": ("bytes",), "alice": ("bytes",), "bob": ("bytes",),
    "interval": ("accuracy_interval",), "loss": ("accuracy_loss",), "total": ("total",), "sent": ("total",),
    "session": ("session",), "cpu": ("total",), "usd": ("cost",), "energy": ("energy_joules",),
    "dealer": ("bytes", "bytes.dealer"), "rounds": ("rounds",), "keys": ("key_bytes",), "memory": ("peak_rss_mb",),
    "adversary": ("security",), "hides": ("security",), "trusted": ("security",), "leaks": ("security",),
    "bits": ("security", "security.computational_bits", "security.statistical_bits"),
}  # fmt: skip


def _reasons(row: Row, key: str) -> str:
    """Why the cell ``key`` of ``row`` is blank; empty for one that is not."""
    if key == "attack":
        return "no attack was run"
    if key in ("slower", "more"):
        return "it is the plaintext model" if row.paradigm == PLAINTEXT else "there is no plaintext row of this model"
    nulls = null_fields(row)
    return "; ".join(why(row, name) or "not measured in this run" for name in _FIELDS.get(key, ()) if name in nulls)


def details(row: Row) -> list[tuple[str, list[tuple[str, str]]]]:
    """Everything a row holds, for whoever wants all of it: groups of names and values as text."""
    plain = msgspec.to_builtins(row)
    names = ("paradigm", "mode", "model", "corpus", "split", "seed", "n_queries", "features_at")
    groups = {
        "Row": {name: plain[name] for name in names},
        "Setting": plain["parameters"],
        "Measured": {name: value for name, value in plain["metrics"].items() if not name.startswith("attack_")},
        "Attacks": {name: value for name, value in plain["metrics"].items() if name.startswith("attack_")},
        "Published": plain["published"],
        "Security": plain["security"] or {},
        "Software": plain["software"],
        "Machine": plain["machine"],
    }
    return [
        (title, [(name.replace("_", " "), _plain_text(value)) for name, value in group.items()])
        for title, group in groups.items()
        if group
    ]


def net_of(row: Row) -> str:
    """The network a row was measured on."""
    return str(row.parameters.get("net") or "loopback")


def records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Every row for the page, in the order given."""
    prices = {id(price.row): price for group in grouped(rows) for price in group.prices}
    return [record(number, row, prices.get(id(row))) for number, row in enumerate(rows)]


def priced(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """What privacy costs on each model, for groups with a plaintext row; ``wide`` (0 to 100) is on a logarithmic scale.

    A bar of 0 is the plaintext model's own figure or less, one of 100 the largest of all groups.
    """
    known = [group for group in groups if group.plain and group.prices]
    most = {
        name: max((value for group in known for each in group.prices if (value := getattr(each, name))), default=1.0)
        for name in ("slower", "more_bytes")
    }
    return [
        {
            "model": group.model,
            "where": f"{group.corpus}, {group.net}",
            "plain": _plain_words(group.plain),
            "rows": [
                {
                    "paradigm": each.row.paradigm,
                    "hides": hidden_words(each.row),
                    "mode": peer_of(each.row) or each.row.mode,
                    "slower": (times(each.slower), _wide(each.slower, most["slower"])),
                    "more": (times(each.more_bytes), _wide(each.more_bytes, most["more_bytes"])),
                    "loss": points(each.row.accuracy_loss),
                    "clips": f"{each.row.n_queries:,}",
                    "usd": usd(each.row.cost),
                    "trusted": each.row.security.trusted if each.row.security else NONE,
                }
                for each in group.prices
            ],
            "empty": group.empty,
        }
        for group in known
        if group.plain
    ]


def _plain_words(row: Row) -> str:
    if row.total is None:
        return NONE
    return f"{time_words(row.total.ms)}, {byte_words(row.total.bytes)}, accuracy {percent(row.accuracy_private)}"


def _wide(value: float | None, most: float) -> int:
    return 0 if value is None or value <= 1 or most <= 1 else round(100 * math.log(value) / math.log(most))


def _of_asked(share: float | None, row: Row) -> tuple[float | None, str]:
    """A share of the clips asked; how many, where these are few."""
    few = f" of {row.n_queries:,}" if share is not None and row.n_queries < FEW else ""
    return share, percent(share) + few


def _time(value: float | None) -> tuple[float | None, str]:
    return value, time_words(value)


def _bits(row: Row) -> tuple[float | None, str]:
    if row.security is None:
        return None, NONE
    known = [NONE if bits is None else str(bits) for bits in (row.security.computational_bits,
                                                             row.security.statistical_bits)]  # fmt: skip
    return row.security.computational_bits, " / ".join(known)


def _plain_text(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def identity(row: Row) -> str:
    """What a row measures, as text: two rows with the same identity are two measurements of the same thing."""
    names = ("paradigm", "mode", "model", "corpus", "split", "seed", "parameters")
    return msgspec.json.encode({name: getattr(row, name) for name in names}, order="sorted").decode()


def notice_of(rows: Iterable[Row]) -> str | None:
    """What must be said of the corpora of ``rows``: the synthetic one says nothing about human speech."""
    return NOTICE if any(row.corpus == "synthetic" for row in rows) else None
