"""Train what a service needs and write each party's folder: exactly what that party may hold, and nothing else.

The experimenter who runs this sees everything; afterwards ``bob/`` goes to Bob's machine and ``alice/`` to Alice's
(:mod:`sotto.serving.folders`).  Keys are drawn here for ``hashing`` and ``keyed``, where whoever trains holds the key
too.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.workbench import Workbench
from sotto.serving import registry
from sotto.serving.adapters import AS_DECLARED, LoweringOptions, ModelSource, require_mode
from sotto.serving.terms import Reveal, write_terms


class PreparationError(ValueError):
    """Folders that cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Folders:
    """Where each party's part is; ``dealer`` None where there is none."""

    bob: Path
    alice: Path
    dealer: Path | None


def prepare(
    paradigm: str, mode: str, model: str, reveal: Reveal, bench: Workbench, out: Path,
    lowering: LoweringOptions = AS_DECLARED,
) -> Folders:  # fmt: skip
    """Train ``model`` on the workbench's split, or take it from the cache, and write the folders into ``out``.

    Raises :class:`PreparationError` when something stands there already (it is left alone).
    """
    declared = registry.paradigm(paradigm)
    if model and model not in declared.models:
        raise PreparationError(f"{paradigm} has the models {', '.join(declared.models)}, not '{model[:40]}'")
    mode = require_mode(declared.prepared_as or declared.modes, mode)
    declared.require_reveal(reveal)
    bob, alice = out / "bob", out / "alice"
    for folder in (bob, alice):
        if folder.exists():
            raise PreparationError(f"{folder}: is there already; choose another --out")
    for folder in (bob, alice):
        folder.mkdir(mode=0o700, parents=True)
    front = EXPERIMENTS[paradigm].prepare(model or declared.models[0], mode, bench, bob, alice)
    registry.lower(paradigm, bob, lowering)
    served = "" if declared.prepared_as else mode
    hosted = registry.host(ModelSource(paradigm, bob, served, reveal))
    write_terms(alice, hosted.terms, front)
    return Folders(bob, alice, _configure(hosted.terms.mode, paradigm, reveal, out, bob, alice))


def _configure(mode: str, paradigm: str, reveal: Reveal, out: Path, bob: Path, alice: Path) -> Path | None:
    """Write each party's settings, for this machine; addresses and keys are what has to be changed for others."""
    with_dealer = registry.paradigm(paradigm).needs_dealer(mode)
    at_dealer = 'dealer = "127.0.0.1:7200"\n' if with_dealer else ""
    common = f'paradigm = "{paradigm}"\nmode = "{mode}"\nreveal = "{reveal}"\n{at_dealer}'
    (bob / "bob.toml").write_text(f'[bob]\nmodel = "."\n{common}listen = "127.0.0.1:7100"\n# keys = "keys"\n')
    (alice / "alice.toml").write_text(f'[alice]\nown = "."\n{common}connect = "127.0.0.1:7100"\n# keys = "keys"\n')
    if not with_dealer:
        return None
    dealer = out / "dealer"
    dealer.mkdir(mode=0o700, exist_ok=True)
    (dealer / "dealer.toml").write_text(f'[dealer]\nmode = ["{mode}"]\nlisten = "127.0.0.1:7200"\n# keys = "keys"\n')
    return dealer
