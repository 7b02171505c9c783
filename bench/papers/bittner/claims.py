"""Bittner, De Cock, Dowsley: the latency of a private answer, and that it is the plaintext model's answer."""

from __future__ import annotations

from collections.abc import Sequence

from sotto.bench.claims.claim import Item, Judgement, Paper, Verdict, open_for
from sotto.bench.rows.row import Row

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
        timed = [(row, row.online_ms.median) for row in rows if row.mode == mode and row.online_ms]
        if not timed:
            return open_for(f"no row of the mode {mode} was timed")
        whole = [row.offline_ms.median + online <= at_most_ms if row.offline_ms else False for row, online in timed]
        below = sum(online <= at_most_ms for _, online in timed)
        verdict = Verdict.HOLDS if all(whole) else Verdict.PARTLY if 2 * below > len(timed) else Verdict.FAILS
        return Judgement(
            verdict, f"median of one query, offline + online: {_shown(timed)}; the paper's {at_most_ms:g} ms"
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


def _shown(timed: Sequence[tuple[Row, float]]) -> str:
    """The times of every network, and where it is one of several variants, of which, by link."""
    links: dict[str, list[str]] = {}
    for row, online in timed:
        offline = f"{row.offline_ms.median:.3g}" if row.offline_ms else "unknown"
        head = row.parameters.get("head")
        network = f"{row.model} ({head})" if head else row.model
        link = links.setdefault(str(row.parameters.get("net", "one process")), [])
        link.append(f"{network} {offline} + {online:.3g} ms")
    return "; ".join(f"{link}: {', '.join(times)}" for link, times in links.items())


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
