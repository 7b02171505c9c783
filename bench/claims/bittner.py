"""Bittner, De Cock, Dowsley: the latency of a private answer, and that it is the plaintext model's answer."""

from __future__ import annotations

from collections.abc import Sequence

from bench.claims.claim import Item, Judgement, Paper, Verdict, by_share, open_for
from bench.row import Row

PAPER = Paper(
    "bittner",
    "Kyle Bittner, Martine De Cock, Rafael Dowsley",
    "Private speech classification with secure multiparty computation",
)


def _latency(mode: str, at_most_ms: float) -> Item:
    def judge(rows: Sequence[Row]) -> Judgement:
        times = [
            (f"{_network(row)} {row.online_ms.median:.3g} ms", row.online_ms.median)
            for row in rows
            if row.mode == mode and row.parameters.get("net") == "loopback" and row.online_ms
        ]
        if not times:
            return open_for(f"no row of the mode {mode} on loopback")
        shown = ", ".join(name for name, _ in times)
        return by_share(
            sum(time <= at_most_ms for _, time in times),
            len(times),
            f"median of one query, online, on loopback: {shown}; the paper's {at_most_ms:g} ms",
        )

    return Item(
        paper=PAPER.key,
        place=f"abstract, {mode}",
        target="bittner-latency",
        claim=f"A speech signal is classified in about {at_most_ms / 1000:g} s against {mode} parties.",
        differs=(
            "The paper's network and machines are not in its abstract: two 1D-CNNs here, one machine. It has three or "
            "four parties, most of them honest; here two parties and a dealer, whose offline work is reported apart."
        ),
        judge=judge,
        corpora=("ravdess", "synthetic"),
    )


def _network(row: Row) -> str:
    """The network, and where it is one of several variants, which."""
    variant = row.parameters.get("head")
    return f"{row.model} ({variant})" if variant else row.model


def _agreement(rows: Sequence[Row]) -> Judgement:
    shares = [(f"{row.mode} {row.model}", row.agreement) for row in rows if row.agreement is not None]
    if not shares:
        return open_for("no row with an agreement")
    worst, least = min(shares, key=lambda each: each[1])
    return Judgement(
        Verdict.HOLDS if least == 1 else Verdict.PARTLY if least > 0.99 else Verdict.FAILS,
        f"least agreement of private and plaintext classes {100 * least:.4g} % ({worst}),"
        f" over {sum(row.n_queries for row in rows)} answers",
    )


ITEMS = (
    _latency("semi-honest", 300.0),
    _latency("malicious", 1600.0),
    Item(
        paper=PAPER.key,
        place="abstract, accuracy",
        target="mpc-agreement",
        claim="Accuracies are those of the same computation on unencrypted data.",
        differs="RAVDESS and our two networks.",
        judge=_agreement,
        corpora=("ravdess", "synthetic"),
    ),
)
