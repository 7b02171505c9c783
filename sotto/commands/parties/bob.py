"""``sotto bob``: serve a model to Alices, here or on another machine."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sotto.commands.parties.options import (
    Dealer,
    DealerName,
    Deny,
    DrainSeconds,
    HealthAt,
    IdleSeconds,
    Keys,
    LogFormat,
    MaxPerClient,
    MaxSessions,
    MaxStarts,
    MaxWaiting,
    MessageSeconds,
    Mode,
    ParadigmName,
    Reveal,
    SessionMb,
    Store,
    Token,
    WaitSeconds,
    address,
    denied,
    read_token,
    require_keys,
    require_made_for,
    require_name,
    require_storing,
)
from sotto.configuration import Config
from sotto.serving import registry

if TYPE_CHECKING:
    from sotto.serving.reveal import Reveal as RevealKind


def bob(
    model: Annotated[Path, typer.Argument(help="Model file, or the folder that 'sotto prepare' made for Bob.")],
    paradigm: ParadigmName = "mpc",
    mode: Mode = "",
    reveal: Reveal = "class",
    listen: Annotated[str, typer.Option("--listen", help="Where Alice connects to, HOST:PORT.")] = "127.0.0.1:7100",
    dealer: Dealer = None,
    dealer_name: DealerName = None,
    store: Store = None,
    keys: Keys = None,
    token_file: Token = None,
    deny: Deny = None,
    health: HealthAt = None,
    log_format: LogFormat = "text",
    max_sessions: MaxSessions = 8,
    max_per_client: MaxPerClient = 4,
    max_starts: MaxStarts = 600,
    max_waiting: MaxWaiting = 16,
    max_queries: Annotated[int, typer.Option("--max-queries", min=0, help="In one session; 0: any number.")] = 0,
    wait: WaitSeconds = 30.0,
    idle: IdleSeconds = 600.0,
    timeout: MessageSeconds = 60.0,
    session_mb: SessionMb = 4096,
    drain: DrainSeconds = 30.0,
    config: Config = None,
) -> None:
    """Serve a model. SIGHUP reloads it, SIGTERM ends after the queries that run.

    Example:  sotto bob demo/bob --paradigm mpc --listen 0.0.0.0:7100 --dealer dealer.example:7200 --keys keys/bob
    """
    from sotto.commands.parties.service import load_model, run_service
    from sotto.serving.adapters import ModelSource
    from sotto.serving.limits import Limits
    from sotto.serving.service.sessions import ServiceConfig

    require_made_for(paradigm, model)
    declared, where = registry.paradigm(paradigm), address(listen, "--listen")
    require_keys(where[0], keys, "--listen")
    if mode and mode not in declared.modes:
        raise typer.BadParameter(f"{paradigm} has modes {', '.join(declared.modes)}", param_hint="--mode")
    if (dealer is not None) != (needs_dealer := declared.needs_dealer(mode)):
        need = "needs a dealer: give --dealer HOST:PORT" if needs_dealer else "has no dealer: leave --dealer out"
        raise typer.BadParameter(f"{f'{paradigm} {mode}'.strip()} {need}", param_hint="--dealer")
    dealer_at = address(dealer, "--dealer") if dealer else None
    if dealer_at:
        require_keys(dealer_at[0], keys, "--dealer")
    require_storing(store, paradigm, mode)
    kept = store.absolute() if store else None
    source = ModelSource(paradigm, model.absolute(), mode, cast("RevealKind", reveal), idle, kept)
    service = ServiceConfig(
        role="bob",
        load=partial(load_model, source),
        keys=keys.absolute() if keys else None,
        dealer=dealer_at,
        dealer_name=require_name(dealer_name, keys, "--dealer-name"),
        limits=Limits(
            sessions=max_sessions,
            per_client=max_per_client,
            starts_per_minute=max_starts,
            waiting=max_waiting,
            wait_seconds=wait,
            idle_seconds=idle,
            message_seconds=timeout,
            queries=max_queries,
            session_mb=session_mb,
            drain_seconds=drain,
        ),
        token=read_token(token_file),
        denied=denied(deny),
    )
    run_service(service, where, health=health, log_format=log_format)
