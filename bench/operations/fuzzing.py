"""Every decoder that reads what a peer or a peer's file says, under malformed input: what was tried and found.

Quick: eight seconds a decoder with bent valid inputs.  Full: a minute each, and another with inputs that a coverage
guided fuzzer chooses, where one is installed.  ``fuzzing.csv`` grows as decoders are done.
"""

from __future__ import annotations

import csv
import io

from sotto.bench.fuzzing.campaign import Outcome, campaign
from sotto.bench.fuzzing.coverage import available
from sotto.bench.request import Request
from sotto.bench.results import write_whole
from sotto.bench.row import Row

DESCRIPTION = "malformed input at every decoder that a peer or a file feeds: inputs tried, crashes, hangs, memory"

_SECONDS = {"quick": 8.0, "full": 60.0}


def run(request: Request) -> list[Row]:
    """A row for each decoder and engine."""
    from sotto.bench.fuzzing.decoders import DECODERS  # with every paradigm's libraries

    engines = ["mutation"]
    if request.preset == "full" and available():
        engines.append("coverage")
    request.out.mkdir(parents=True, exist_ok=True)
    outcomes: list[Outcome] = []
    for engine in engines:
        for outcome in campaign(
            list(DECODERS), seconds=_SECONDS[request.preset], engine=engine, seed=request.seed, out=request.out
        ):
            outcomes.append(outcome)
            found = "; ".join(outcome.findings) or "nothing found"
            request.say(f"{outcome.decoder} ({engine}): {outcome.tried} inputs, {found}")
            write_whole(request.out / "fuzzing.csv", _table(outcomes))
    return [_row(outcome, DECODERS[outcome.decoder].fed_by, request.seed) for outcome in outcomes]


def _row(outcome: Outcome, fed_by: str, seed: int) -> Row:
    metrics: dict[str, float | None] = {
        "inputs_tried": float(outcome.tried),
        "inputs_accepted": float(outcome.accepted),
        "findings": float(len(outcome.findings)),
        "crashes": float(outcome.crashes),
        "hangs": float(outcome.hangs),
        "slowest_ms": outcome.slowest_ms,
        "memory_growth_mb": outcome.growth_mb,
    }
    return Row(
        paradigm=outcome.decoder.split(".", maxsplit=1)[0], mode=outcome.engine, model=outcome.decoder, seed=seed,
        n_queries=outcome.tried, parameters={"decoder": outcome.decoder, "fed_by": fed_by}, metrics=metrics,
    )  # fmt: skip


def _table(outcomes: list[Outcome]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["decoder", "engine", "tried", "accepted", "refused", "crashes", "hangs", "slowest_ms", "growth_mb", "findings"]
    )
    for each in outcomes:
        refused = " ".join(f"{name}:{count}" for name, count in sorted(each.refused.items()))
        writer.writerow(
            [each.decoder, each.engine, each.tried, each.accepted, refused, each.crashes, each.hangs,
             f"{each.slowest_ms:.1f}", f"{each.growth_mb:.1f}", "; ".join(each.findings)]
        )  # fmt: skip
    return out.getvalue()
