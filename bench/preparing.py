"""Train what a service needs and write each party's folder: exactly what that party may hold, and nothing else.

The experimenter who runs this sees everything; afterwards ``bob/`` goes to Bob's machine and ``alice/`` to Alice's
(:mod:`sotto.serving.folders`).  Keys are drawn here for ``hashing`` and ``keyed``, where whoever trains holds the key
too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.workbench import Workbench
from sotto.link import Coded
from sotto.serving import registry
from sotto.serving.adapters import AS_DECLARED, LoweringOptions, ModelSource, require_mode
from sotto.serving.reveal import Reveal
from sotto.serving.terms import write_terms


class PreparationError(Coded, ValueError):
    """Folders that cannot be made; the message says what to do."""


@dataclass(frozen=True)
class Folders:
    """Where each party's part is; ``dealer`` None where there is none."""

    bob: Path
    alice: Path
    dealer: Path | None


def prepare(
    paradigm: str, mode: str, model: str, reveal: Reveal, bench: Workbench, out: Path,
    lowering: LoweringOptions = AS_DECLARED, keys: Path | None = None,
) -> Folders:  # fmt: skip
    """Train ``model`` on the workbench's split, or take it from the cache, and write the folders into ``out``.

    ``keys``: the folder of ``sotto keys init``, with one for each party, which the settings then name.
    Raises :class:`PreparationError` when something stands there already (it is left alone).
    """
    declared = registry.paradigm(paradigm)
    if model and model not in declared.models:
        raise PreparationError(
            "unknown-model", f"{paradigm} has the models {', '.join(declared.models)}, not '{model[:40]}'"
        )
    mode = require_mode(declared.prepared_as or declared.modes, mode)
    declared.require_reveal(reveal)
    bob, alice = out / "bob", out / "alice"
    for folder in (bob, alice):
        if folder.exists():
            raise PreparationError("exists", f"{folder}: is there already; choose another --out")
    for folder in (bob, alice):
        folder.mkdir(mode=0o700, parents=True)
    front = EXPERIMENTS[paradigm].prepare(model or declared.models[0], mode, bench, bob, alice)
    registry.lower(paradigm, bob, lowering)
    served = "" if declared.prepared_as else mode
    hosted = registry.host(ModelSource(paradigm, bob, served, reveal))
    write_terms(alice, hosted.terms, front)
    return Folders(bob, alice, _configure(hosted.terms.mode, paradigm, reveal, out, keys))


def _configure(mode: str, paradigm: str, reveal: Reveal, out: Path, keys: Path | None) -> Path | None:
    """Write each party's settings, for this machine; addresses and keys are what has to be changed for others."""
    with_dealer = registry.paradigm(paradigm).needs_dealer(mode)
    at_dealer = 'dealer = "127.0.0.1:7200"\n' if with_dealer else ""
    common = f'paradigm = "{paradigm}"\nmode = "{mode}"\nreveal = "{reveal}"\n{at_dealer}'
    _write(out, "bob", f'model = "."\n{common}listen = "127.0.0.1:7100"\n', keys)
    _write(out, "alice", f'own = "."\n{common}connect = "127.0.0.1:7100"\n', keys)
    if not with_dealer:
        return None
    dealer = out / "dealer"
    dealer.mkdir(mode=0o700, exist_ok=True)
    _write(out, "dealer", f'mode = ["{mode}"]\nlisten = "127.0.0.1:7200"\n', keys)
    return dealer


def _write(out: Path, role: str, settings: str, keys: Path | None) -> None:
    own = json.dumps(str(keys.absolute() / role)) if keys else ""
    line = f"keys = {own}" if keys else '# keys = "…"  # on several machines: the folder of its certificate'
    (out / role / f"{role}.toml").write_text(f"[{role}]\n{settings}{line}\n", encoding="utf-8")
