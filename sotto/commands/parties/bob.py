"""``sotto bob``: serve a model to Alices, here or on another machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sotto.commands.parties import options
from sotto.configuration import Config
from sotto.serving import registry

if TYPE_CHECKING:
    from sotto.serving.reveal import Reveal as RevealKind

_SERVICE = options.Service()


def bob(
    model: Annotated[Path, typer.Argument(help="Model file, or the folder that 'sotto prepare' made for Bob.")],
    paradigm: options.ParadigmName = "mpc",
    mode: options.Mode = "",
    reveal: options.Reveal = "class",
    listen: Annotated[str, typer.Option("--listen", help="Where Alice connects to, HOST:PORT.")] = "127.0.0.1:7100",
    dealer: options.Dealer = None,
    dealer_name: options.DealerName = None,
    store: options.Store = None,
    service: options.Service = _SERVICE,
    max_queries: Annotated[int, typer.Option("--max-queries", min=0, help="In one session; 0: any number.")] = 0,
    config: Config = None,
) -> None:
    """Serve a model. SIGHUP reloads it, SIGTERM ends after the queries that run.

    Example:  sotto bob demo/bob --paradigm mpc --listen 0.0.0.0:7100 --dealer dealer.example:7200 --keys keys/bob
    """
    from sotto.commands.parties.service import load_model
    from sotto.serving.adapters import ModelSource

    options.require_made_for(paradigm, model)
    declared = registry.paradigm(paradigm)
    if mode and mode not in declared.modes:
        raise typer.BadParameter(f"{paradigm} has modes {', '.join(declared.modes)}", param_hint="--mode")
    if (dealer is not None) != (needs_dealer := declared.needs_dealer(mode)):
        need = "needs a dealer: give --dealer HOST:PORT" if needs_dealer else "has no dealer: leave --dealer out"
        raise typer.BadParameter(f"{f'{paradigm} {mode}'.strip()} {need}", param_hint="--dealer")
    options.require_storing(store, paradigm, mode)
    kept = store.absolute() if store else None
    source = ModelSource(paradigm, model.absolute(), mode, cast("RevealKind", reveal), service.idle, kept)
    service.run(
        "bob",
        partial(load_model, source),
        listen,
        max_queries=max_queries,
        dealer=options.address(dealer, "--dealer", service.keys) if dealer else None,
        dealer_name=options.require_name(dealer_name, service.keys, "--dealer-name"),
    )
