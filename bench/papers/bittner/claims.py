"""Bittner, De Cock, Dowsley: the latency of a private answer, and that it is the plaintext model's answer."""

from __future__ import annotations

from collections.abc import Sequence

from sotto.bench.claims.claim import Item, Judgement, Paper, Verdict, open_for
from sotto.bench.row import Row

PAPER = Paper(
    "bittner",
    "Kyle Bittner, Martine De Cock, Rafael Dowsley",
    "Private speech classification with secure multiparty computation",
)


def _latency(mode: str, at_most_ms: float) -> Item:
    """Holds where offline and online time together stay below the paper's figure, for every network and link measured.

    Where only online time does, and for most of them, it holds in part.  A row without offline time says nothing of
    the whole.
    """

    def judge(rows: Sequence[Row]) -> Judgement:
        online = [row.online_ms.median for row in rows if row.mode == mode and row.online_ms]
        if not online:
            return open_for(f"no row of the mode {mode} was timed")
        whole = [_whole(row) for row in rows if row.mode == mode and row.online_ms]
        below = sum(time <= at_most_ms for time in online)
        if all(time is not None and time <= at_most_ms for time in whole):
            verdict = Verdict.HOLDS
        else:
            verdict = Verdict.PARTLY if 2 * below > len(online) else Verdict.FAILS
        return Judgement(
            verdict, f"median of one query, offline + online: {_shown(rows, mode)}; the paper's {at_most_ms:g} ms"
        )

    return Item(
        paper=PAPER.key,
        place=f"abstract, {mode}",
        target="bittner-latency",
        claim=f"A speech signal is classified in about {at_most_ms / 1000:g} s against {mode} parties.",
        differs=(
            "Not a race: the paper's network, link and machines are not in its abstract, and it has three or four"
            " parties, most of them honest. Here: two 1D-CNNs, all on one machine, two parties and a trusted dealer,"
            " whose work is the offline time."
        ),
        judge=judge,
        corpora=("ravdess", "synthetic"),
        mode=mode,
    )


def _whole(row: Row) -> float | None:
    return row.offline_ms.median + row.online_ms.median if row.offline_ms and row.online_ms else None


def _shown(rows: Sequence[Row], mode: str) -> str:
    """The times of every network, by link."""
    links: dict[str, list[str]] = {}
    for row in rows:
        if row.mode == mode and row.online_ms:
            offline = f"{row.offline_ms.median:.3g}" if row.offline_ms else "unknown"
            times = f"{_network(row)} {offline} + {row.online_ms.median:.3g} ms"
            links.setdefault(str(row.parameters.get("net", "one process")), []).append(times)
    return "; ".join(f"{link}: {', '.join(times)}" for link, times in links.items())


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
