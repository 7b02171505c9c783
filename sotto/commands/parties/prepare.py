"""``sotto prepare``: train what a service needs and write one folder for each party."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from sotto.commands import options
from sotto.commands.options import one_of, require_corpus
from sotto.commands.parties.options import Mode, Reveal
from sotto.console import escape, out, say, write_json
from sotto.serving import registry

if TYPE_CHECKING:
    from sotto.serving.reveal import Reveal as RevealKind


def prepare(
    paradigm: Annotated[
        str, typer.Argument(callback=one_of(registry.names(), "a paradigm"), help=f"{', '.join(registry.names())}.")
    ],
    mode: Mode = "",
    model: Annotated[str, typer.Option("--model", help="Which model.", show_default="the paradigm's first")] = "",
    reveal: Reveal = "class",
    activation_error: options.ActivationError = None,
    output: options.Output = None,
    weights: options.Weights = None,
    features_at: options.FeaturesAt = "alice",
    corpus: options.CorpusName = "synthetic",
    data: options.Data = None,
    preset: options.PresetName = "quick",
    seed: options.Seed = 0,
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder to write bob/ and alice/ into.", show_default="PARADIGM")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option("--keys", help="Folder of 'sotto keys init': its keys go into the settings.", show_default="none"),
    ] = None,
    skip_broken: options.SkipBroken = False,
    json: options.Json = False,
) -> None:
    """Write the folders with which Bob can serve and Alice can ask: each holds what that party may have, no more.

    Example:  sotto prepare mpc --out demo && sotto dealer & sotto bob --config demo/bob/bob.toml &
    """
    declared = registry.paradigm(paradigm)
    if mode:
        one_of(declared.prepared_as or declared.modes, f"a mode of {paradigm}")(mode)
    if model:
        one_of(declared.models, f"a model of {paradigm}")(model)
    if keys and not (keys / "bob").is_dir():
        raise typer.BadParameter(f"{keys} holds no keys: run 'sotto keys init {keys}' first", param_hint="--keys")
    require_corpus(corpus, data)
    from sotto.bench.rows.results import require_writable

    folder = out_folder or Path(paradigm)
    require_writable(folder)
    from sotto.bench import preparing
    from sotto.bench.suite import open_workbench, require
    from sotto.serving.adapters import LoweringOptions

    require([paradigm])
    bench = open_workbench(corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken)
    lowering = LoweringOptions(
        activation_error,
        output,
        cast(Literal["secret", "public"], weights or "secret"),
        cast(Literal["alice", "circuit"], features_at),
    )
    made = preparing.prepare(paradigm, mode, model, cast("RevealKind", reveal), bench, folder, lowering, keys)
    folders = {"bob": made.bob, "alice": made.alice} | ({"dealer": made.dealer} if made.dealer else {})
    if json:
        write_json({role: str(path) for role, path in folders.items()})
        return
    for role, path in folders.items():
        out.print(f"{escape(str(path))}: for {role}: {escape(', '.join(sorted(each.name for each in path.iterdir())))}")
    for role in [role for role in ("dealer", "bob") if role in folders]:
        out.print(f"  sotto {role} --config {escape(str(folders[role] / role))}.toml", soft_wrap=True)
    out.print(f"  sotto alice CLIP --config {escape(str(made.alice))}/alice.toml", soft_wrap=True)
    if bench.corpus.notice:
        out.print(escape(bench.corpus.notice))
