"""``sotto simulate mpc --cheat``: a party departs from the protocol, and the user watches what comes of it."""

from __future__ import annotations

from collections.abc import Mapping

import typer
from rich.table import Table

from sotto.audio import Clip
from sotto.bench.experiment import Experiment
from sotto.bench.one_clip.cheating import Cheated, CheatError, places
from sotto.bench.one_clip.cheating import cheat as run_cheat
from sotto.bench.workbench import Workbench
from sotto.console import escape, out, write_json
from sotto.mpc.attacks import KINDS, MEANINGS, Party, Place

VERDICTS = {
    "caught": "Caught by a check: the session ended and no answer was taken.",
    "refused": "Refused: the session ended at a message that could not be taken, and no answer was.",
    "harmless": "Harmless: the right answer came out.",
    "unanswered": "No answer came out, and the honest party noticed nothing.",
    "accepted": "Not noticed: Alice took a wrong answer.",
    "allowed": "Allowed: a choice of input, which no protocol can tell from an honest one; the answer is that input's.",
    "hung": "The honest party waited far beyond its deadline.",
}


def show_cheat(experiment: Experiment, bench: Workbench, clip: Clip, wish: str, *, json: bool) -> None:
    """Try the cheat ``wish`` ("list" names the messages) about ``clip`` and print or write what happened."""
    query = experiment.query(clip)
    try:
        if wish == "list":
            _list(experiment, places(experiment, query), json=json)
            return
        cheated = run_cheat(experiment, query, wish)
    except CheatError as error:
        raise typer.BadParameter(str(error), param_hint="--cheat") from None
    if json:
        write_json(_as_json(experiment, bench, clip, cheated))
    else:
        _print(experiment, bench, clip, cheated)


def _list(experiment: Experiment, known: Mapping[Party, list[Place]], *, json: bool) -> None:
    if json:
        listing = [
            {"party": party, "message": place.name, "bytes": place.size, "online": place.online}
            for party, own in known.items()
            for place in own
        ]
        write_json(listing)
        return
    table = Table("party", "message", "bytes", "when", title=f"{experiment.cell}: --cheat PARTY:MESSAGE[:KIND]")
    for party, own in known.items():
        for place in own:
            table.add_row(party, escape(place.name), f"{place.size:,}", "query" if place.online else "before it")
    out.print(table)
    out.print(f"Kinds: {', '.join(KINDS)}.")
    out.print(f"Without altering a message: {', '.join(MEANINGS)}.")


def _as_json(experiment: Experiment, bench: Workbench, clip: Clip, cheated: Cheated) -> dict[str, object]:
    outcome = cheated.outcome
    return {
        "paradigm": experiment.cell.paradigm,
        "mode": experiment.cell.mode,
        "model": experiment.cell.model,
        "clip": clip.id,
        "cheat": str(outcome.cheat),
        "altered": outcome.altered,
        "verdict": outcome.verdict,
        "honest_party_said": outcome.said,
        "honest_answer": bench.classes[cheated.right],
        "accepted_answer": None if outcome.label is None else bench.classes[outcome.label],
        "milliseconds": outcome.milliseconds,
        "sent_by_the_cheater": [{"message": place.name, "bytes": place.size} for place in outcome.sent],
        "notice": bench.corpus.notice,
    }


def _print(experiment: Experiment, bench: Workbench, clip: Clip, cheated: Cheated) -> None:
    outcome = cheated.outcome
    cheater, honest = ("Bob", "Alice") if outcome.cheat.party == "bob" else ("Alice", "Bob")
    out.print(f"[bold]{escape(str(experiment.cell))}[/bold]  clip {escape(clip.id)}, {cheater} cheats")
    table = Table(title=f"what {cheater} sent", title_justify="left", pad_edge=False)
    for heading in ("message", "bytes", ""):
        table.add_column(heading, justify="right" if heading == "bytes" else "left")
    for place in outcome.sent:
        mark = "← altered" if place.name == outcome.cheat.place else ""
        table.add_row(escape(place.name), f"{place.size:,}", mark, style="bold" if mark else None)
    out.print(table)
    out.print(f"Altered: {escape(outcome.altered or 'nothing, the message was never reached')}.")
    out.print(f"{honest} said: {escape(outcome.said)}.")
    out.print(f"[bold]{VERDICTS[outcome.verdict]}[/bold]")
    taken = "none" if outcome.label is None else bench.classes[outcome.label]
    out.print(f"Answer of an honest session: {bench.classes[cheated.right]}; taken here: {taken}.")
    if bench.corpus.notice:
        out.print(escape(bench.corpus.notice))
