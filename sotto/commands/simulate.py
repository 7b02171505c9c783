"""``sotto simulate``: one clip, all parties as real processes, and a transcript of what each one saw."""

from __future__ import annotations

import json as json_module
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sotto.audio import Clip
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.experiment import Experiment
from sotto.bench.simulation import Simulation, exposed, summary
from sotto.bench.simulation import simulate as run_simulation
from sotto.bench.suite import build, cells, open_workbench, require
from sotto.bench.table import megabytes, milliseconds
from sotto.bench.workbench import Workbench
from sotto.cheat import show_cheat
from sotto.commands.options import CorpusName, Data, Json, Net, Seed, SkipBroken, one_of
from sotto.console import escape, out, say
from sotto.recordings import require_speech

_ROLES = ("alice", "bob", "dealer")


def simulate(
    paradigm: Annotated[str, typer.Argument(callback=one_of(tuple(EXPERIMENTS), "a paradigm"), help="Which paradigm.")],
    clip: Annotated[
        Path | None,
        typer.Argument(help="A wav or flac file; without one, a test clip of the corpus.", show_default=False),
    ] = None,
    mode: Annotated[str | None, typer.Option("--mode", help="Mode of the paradigm.", show_default="its first")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model.", show_default="the mode's first")] = None,
    corpus: CorpusName = "synthetic",
    data: Data = None,
    cheat: Annotated[
        str | None,
        typer.Option("--cheat", help="Let a party cheat: PARTY:MESSAGE[:KIND], as in bob:relu2; list names them."),
    ] = None,
    net: Net = "loopback",
    seed: Seed = 0,
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Answer one clip privately and show what Alice sent, what Bob saw, and the answer.

    Example:  sotto simulate hashing clip.wav

    The model is trained on the corpus' training speakers, or taken from the cache.

    Of mpc a party can be made to cheat:  sotto simulate mpc --mode malicious --cheat bob:relu2
    """
    if clip is not None and not clip.is_file():
        raise typer.BadParameter(f"{clip} is not a file", param_hint="CLIP")
    if clip is not None:
        require_speech(clip)
    if cheat is not None and net != "loopback":
        raise typer.BadParameter("a cheat is tried on loopback: leave --net out", param_hint="--cheat")
    require([paradigm])
    bench = open_workbench(corpus, data, preset="quick", seed=seed, say=say, skip_broken=skip_broken)
    experiment = _experiment(paradigm, mode, model, bench)
    asked = Clip(id=clip.name, path=clip) if clip else _test_clip(experiment, bench)
    if cheat is not None:
        show_cheat(experiment, bench, asked, cheat, json=json)
        return
    simulation = run_simulation(experiment, asked, net)
    shown = _Shown(experiment, bench, asked, simulation)
    if json:
        sys.stdout.write(json_module.dumps(shown.as_json(), indent=1) + "\n")
    else:
        shown.print()


def _experiment(paradigm: str, mode: str | None, model: str | None, bench: Workbench) -> Experiment:
    offered = cells([paradigm], bench.preset)
    fitting = [cell for cell in offered if mode in (None, cell.mode) and model in (None, cell.model)]
    if not fitting:
        known = ", ".join(dict.fromkeys(f"--mode {cell.mode} --model {cell.model}" for cell in offered))
        raise typer.BadParameter(f"{paradigm} offers: {known}", param_hint="--mode/--model")
    return build(fitting[0], bench)


def _test_clip(experiment: Experiment, bench: Workbench) -> Clip:
    return experiment.task.clip if experiment.task else bench.corpus[bench.split.test[0]]


@dataclass(frozen=True)
class _Shown:
    experiment: Experiment
    bench: Workbench
    clip: Clip
    simulation: Simulation

    def as_json(self) -> dict[str, object]:
        found, of = self._exposed()
        return {
            "paradigm": self.experiment.cell.paradigm,
            "mode": self.experiment.cell.mode,
            "model": self.experiment.cell.model,
            "parameters": dict(self.experiment.cell.parameters),
            "clip": self.clip.id,
            "answer": self._name(self.simulation.label),
            "plaintext_answer": self._name(self.simulation.plain_label),
            "truth": self._truth,
            "offline_ms": self.simulation.offline.milliseconds,
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

    def print(self) -> None:
        simulation = self.simulation
        out.print(f"[bold]{escape(str(self.experiment.cell))}[/bold]  clip {escape(self.clip.id)}")
        shape = " × ".join(map(str, simulation.query.shape[1:]))
        out.print(f"Alice holds {shape} feature values of the clip; Bob's process is given none of them.")
        for role in _ROLES:
            if role in simulation.reports:
                self._print_messages(role)
        found, of = self._exposed()
        out.print(f"Plain copies of neighbouring pairs of Alice's values in what Bob received: {found} of {of}.")
        out.print(f"Leaks all the same: {escape(self.experiment.security.leaks)}")
        truth = f", truth {self._truth}" if self._truth else ""
        out.print(
            f"[bold]Answer: {self._name(simulation.label)}[/bold] "
            f"(plaintext model: {self._name(simulation.plain_label)}{truth})"
        )
        offline, online = simulation.offline.counts["alice"], simulation.online.counts["alice"]
        out.print(
            f"Offline {milliseconds(simulation.offline.milliseconds)} ms, Alice sent {megabytes(offline.sent)} MB; "
            f"online {milliseconds(simulation.online.milliseconds)} ms, Alice sent {megabytes(online.sent)} MB, "
            f"{online.rounds} round{'s' if online.rounds != 1 else ''}."
        )
        for report in simulation.reports.values():
            for note in report.notes:
                out.print(escape(note))
        if self._notice:
            out.print(escape(self._notice))

    def _print_messages(self, role: str) -> None:
        table = Table(title=f"what {role.capitalize()} sent (→) and received (←)", title_justify="left", pad_edge=False)
        for heading in ("", "message", "times", "bytes", "a sample of it"):
            table.add_column(heading, justify="right" if heading in ("times", "bytes") else "left", no_wrap=True)
        for direction, peer, name, count, size, sample in summary(self.simulation.reports[role].seen):
            table.add_row(
                f"{'→' if direction == 'sent' else '←'} {peer}", name, str(count), f"{size:,}", sample.hex(" ")
            )
        out.print(table)

    def _exposed(self) -> tuple[int, int]:
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
