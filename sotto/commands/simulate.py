"""``sotto simulate``: one clip, all parties as real processes, and a transcript of what each one saw."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from sotto.commands.options import (
    ActivationError,
    CorpusName,
    Data,
    FeaturesAt,
    Json,
    Net,
    Seed,
    SkipBroken,
    Weights,
    one_of,
    require_clip,
    require_corpus,
)
from sotto.console import escape, out, say
from sotto.serving import registry
from sotto.serving.reveal import REVEALS

if TYPE_CHECKING:
    from sotto.audio import Clip
    from sotto.bench.experiment import Configuration, Experiment
    from sotto.bench.one_clip.simulation import Simulation
    from sotto.bench.parties.parties import Phase
    from sotto.bench.rows.row import JSONValue
    from sotto.bench.workbench import Workbench

_ROLES = ("alice", "bob", "dealer")


def simulate(
    paradigm: Annotated[str, typer.Argument(callback=one_of(registry.names(), "a paradigm"), help="Which paradigm.")],
    clip: Annotated[
        Path | None,
        typer.Argument(
            help="A recording: wav, flac, mp3 or ogg; without one, a test clip of the corpus.", show_default=False
        ),
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Mode of the paradigm.", show_default="its first")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model.", show_default="the mode's first")] = None,
    corpus: CorpusName = "synthetic",
    data: Data = None,
    reveal: Annotated[
        str | None,
        typer.Option(
            "--reveal",
            help="mpc: class; logits: scores, too; values: scores without a class.",
            callback=one_of(REVEALS, "reveal"),
            show_default="class",
        ),
    ] = None,
    activation_error: ActivationError = None,
    weights: Weights = None,
    features_at: FeaturesAt = "alice",
    cheat: Annotated[
        str | None,
        typer.Option("--cheat", help="Let a party cheat: PARTY:MESSAGE[:KIND], as in bob:relu2; list names them."),
    ] = None,
    net: Net = "loopback",
    seed: Seed = 0,
    skip_broken: SkipBroken = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show every message that each party sent and received.")
    ] = False,
    json: Json = False,
) -> None:
    """Answer one clip privately and show the answer, what it cost, and what each party saw of it.

    Example:  sotto simulate hashing clip.wav

    The model is trained on the corpus' training speakers, or taken from the cache.

    Of mpc a party can be made to cheat:  sotto simulate mpc --mode malicious --cheat bob:relu2
    """
    if clip is not None:
        require_clip(clip)
    require_corpus(corpus, data)
    if cheat is not None and net != "loopback":
        raise typer.BadParameter("a cheat is tried on loopback: leave --net out", param_hint="--cheat")
    from sotto.serving.service.processes import warm_up

    warm_up(registry.paradigm(paradigm).preload)  # for the parties, while this process imports what it needs itself
    asked_for = {"reveal": reveal, "activation_error": activation_error, "weights": weights}
    cell = _cell(
        paradigm, mode, model, features_at, {name: value for name, value in asked_for.items() if value is not None}
    )
    if cheat is not None:
        _require_cheat(cell, cheat)
    from sotto.audio import Clip
    from sotto.bench.one_clip.simulation import simulate as run_simulation
    from sotto.bench.suite import build, open_workbench, require

    require([paradigm])
    bench = open_workbench(corpus, data, preset="quick", seed=seed, say=say, skip_broken=skip_broken, brief=True)
    experiment = build(cell, bench)
    asked = Clip(id=clip.name, path=clip) if clip else _test_clip(experiment, bench)
    if cheat is not None:
        from sotto.cheat import show_cheat

        show_cheat(experiment, bench, asked, cheat, json=json)
        return
    shown = _Shown(experiment, bench, asked, run_simulation(experiment, asked, net))
    if json:
        sys.stdout.write(json_module.dumps(shown.as_json(), indent=1) + "\n")
    else:
        shown.print(messages=verbose)


def _cell(
    paradigm: str, mode: str | None, model: str | None, features_at: str, parameters: Mapping[str, JSONValue]
) -> Configuration:
    """The first configuration that fits, found before a corpus is loaded.  Raises ``typer.BadParameter``."""
    declared = registry.paradigm(paradigm)
    if mode is not None:  # told apart first, because the declaration is light
        one_of(declared.prepared_as or declared.modes, f"a mode of {paradigm}")(mode)
    from sotto.bench.suite import cells

    # what a quick comparison asks comes first
    offered = [cell for preset in ("quick", "full") for cell in cells([paradigm], preset, features_at)]
    if not offered:
        raise typer.BadParameter(f"{paradigm}: {declared.no_samples}", param_hint="--features-at")
    if features_at == "alice" and model is not None:  # models that know nothing but samples are offered by name
        offered += [cell for cell in cells([paradigm], "full", "circuit") if "features_at" not in cell.parameters]
    if model is not None:
        one_of(dict.fromkeys(cell.model for cell in offered), f"a model of {paradigm}")(model)
    fitting = [cell for cell in offered if mode in (None, cell.mode) and model in (None, cell.model)]
    if not fitting:
        known = ", ".join(dict.fromkeys(f"--mode {cell.mode} --model {cell.model}" for cell in offered))
        raise typer.BadParameter(f"{paradigm} offers: {known}", param_hint="--mode/--model")
    if parameters and paradigm != "mpc":
        named = ", ".join(f"--{name.replace('_', '-')}" for name in parameters)
        raise typer.BadParameter(f"only mpc has a choice there: leave it out with {paradigm}", param_hint=named)
    return replace(fitting[0], parameters={**fitting[0].parameters, **parameters})


def _require_cheat(cell: Configuration, cheat: str) -> None:
    """Refuse a cheat that cannot be meant; its message is looked for when the network is known."""
    from sotto.bench.one_clip.cheating import CheatError, parsed

    if cell.paradigm != "mpc":
        raise typer.BadParameter(f"nobody can be made to cheat in {cell.paradigm}: only in mpc", param_hint="--cheat")
    if cell.parameters:
        given = ", ".join(f"--{name.replace('_', '-')}" for name in cell.parameters)
        raise typer.BadParameter(f"a cheat is tried on the network as it is: leave {given} out", param_hint="--cheat")
    try:
        if cheat != "list":
            parsed(cheat)
    except CheatError as error:
        raise typer.BadParameter(str(error), param_hint="--cheat") from None


def _test_clip(experiment: Experiment, bench: Workbench) -> Clip:
    return experiment.task.clip if experiment.task else bench.corpus[bench.split.test[0]]


@dataclass(frozen=True)
class _Shown:
    experiment: Experiment
    bench: Workbench
    clip: Clip
    simulation: Simulation

    def as_json(self) -> dict[str, object]:
        from sotto.bench.one_clip.simulation import summary

        found, of = self._exposed()
        return {
            "paradigm": self.experiment.cell.paradigm,
            "mode": self.experiment.cell.mode,
            "model": self.experiment.cell.model,
            "parameters": dict(self.experiment.cell.parameters),
            "clip": self.clip.id,
            "answer": None if self.simulation.label < 0 else self._name(self.simulation.label),
            "plaintext_answer": self._name(self.simulation.plain_label),
            "truth": self._truth,
            "scores": None if self.simulation.scores is None else self.simulation.scores.tolist(),
            "scores_error": self.simulation.scores_error,
            "session_ms": self.simulation.session.milliseconds,
            "offline_ms": self._offline.milliseconds,
            "online_ms": self.simulation.online.milliseconds,
            "alice_values_in_the_open_at_bob": {"found": found, "of": of},
            "transcript": {
                role: [
                    {"direction": d, "peer": p, "message": n, "times": c, "bytes": b, "sample": x.hex()}
                    for d, p, n, c, b, x in summary(report.seen)
                ]
                for role, report in self.simulation.reports.items()
            },
            "notice": self._notice,
        }

    def print(self, *, messages: bool) -> None:
        """The answer and its cost first; what was said, of which there may be a lot, where it is wanted."""
        from sotto.bench.rows.table import megabytes
        from sotto.bench.rows.table import milliseconds as ms

        simulation = self.simulation
        truth = f", truth {self._truth}" if self._truth else ""
        if simulation.label >= 0:
            out.print(
                f"[bold]Answer: {self._name(simulation.label)}[/bold] "
                f"(plaintext model: {self._name(simulation.plain_label)}{truth})"
            )
        if simulation.scores is not None:
            shown = " ".join(f"{score:.4f}" for score in simulation.scores)
            out.print(f"Scores: {shown} (at most {simulation.scores_error:.1e} from the plaintext model's)")
        offline, online = self._offline.counts["alice"], simulation.online.counts["alice"]
        once = f" The session before, once: {ms(simulation.session.milliseconds)} ms." if simulation.offline else ""
        out.print(
            f"Offline {ms(self._offline.milliseconds)} ms, Alice sent {megabytes(offline.sent)} MB; "
            f"online {ms(simulation.online.milliseconds)} ms, Alice sent {megabytes(online.sent)} MB, "
            f"{online.rounds} round{'s' if online.rounds != 1 else ''}.{once}"
        )
        out.print(f"{escape(str(self.experiment.cell))}, clip {escape(self.clip.id)}")
        out.print(f"Leaks all the same: {escape(self.experiment.security.leaks)}")
        if messages:
            self._print_seen()
        for report in simulation.reports.values():
            for note in report.notes:
                out.print(escape(note))
        if self._notice:
            out.print(escape(self._notice))

    def _print_seen(self) -> None:
        shape = " × ".join(map(str, self.simulation.query.shape[1:]))
        out.print(f"Alice holds {shape} feature values of the clip; Bob's process is given none of them.")
        for role in _ROLES:
            if role in self.simulation.reports:
                self._print_messages(role)
        found, of = self._exposed()
        out.print(f"Plain copies of neighbouring pairs of Alice's values in what Bob received: {found} of {of}.")

    def _print_messages(self, role: str) -> None:
        from sotto.bench.one_clip.simulation import summary

        table = Table(title=f"what {role.capitalize()} sent (→) and received (←)", title_justify="left", pad_edge=False)
        for heading in ("", "message", "times", "bytes", "a sample of it"):
            table.add_column(heading, justify="right" if heading in ("times", "bytes") else "left", no_wrap=True)
        for direction, peer, name, count, size, sample in summary(self.simulation.reports[role].seen):
            table.add_row(
                f"{'→' if direction == 'sent' else '←'} {peer}", name, str(count), f"{size:,}", sample.hex(" ")
            )
        out.print(table)

    @property
    def _offline(self) -> Phase:
        """What came before the features, as in a row: for this query, or once a session."""
        return self.simulation.offline or self.simulation.session

    def _exposed(self) -> tuple[int, int]:
        from sotto.bench.one_clip.simulation import exposed

        return exposed(self.simulation.query, self.simulation.reports["bob"].seen)

    def _name(self, label: int) -> str:
        task = self.experiment.task
        return (task.classes if task else self.bench.classes)[label]

    @property
    def _truth(self) -> str | None:
        task = self.experiment.task
        return self.clip.label(task.label if task else self.bench.label)

    @property
    def _notice(self) -> str | None:
        task = self.experiment.task
        return task.notice if task else self.bench.corpus.notice
