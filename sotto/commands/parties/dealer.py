"""``sotto dealer``: correlated randomness for Alices and Bobs who compute with secret shares (mpc)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sotto.commands.options import one_of
from sotto.commands.parties.options import (
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
    SessionMb,
    Token,
    WaitSeconds,
    address,
    denied,
    read_token,
    require_keys,
)
from sotto.configuration import Config
from sotto.serving import registry

_MODES = registry.paradigm("mpc").dealt


def dealer(
    mode: Annotated[
        list[str] | None,
        typer.Option(
            "--mode",
            help=f"Mode that is served, of {', '.join(_MODES)}; may be repeated.",
            callback=one_of(_MODES, "a mode"),
            show_default="malicious, semi-honest",
        ),
    ] = None,
    stock: Annotated[
        Path | None,
        typer.Option("--stock", help="Folder of bundles made ahead of time.", show_default="none: made when asked"),
    ] = None,
    listen: Annotated[str, typer.Option("--listen", help="Where both connect to, HOST:PORT.")] = "127.0.0.1:7200",
    keys: Keys = None,
    token_file: Token = None,
    deny: Deny = None,
    health: HealthAt = None,
    log_format: LogFormat = "text",
    max_sessions: MaxSessions = 8,
    max_per_client: MaxPerClient = 8,
    max_starts: MaxStarts = 600,
    max_waiting: MaxWaiting = 32,
    wait: WaitSeconds = 30.0,
    idle: IdleSeconds = 600.0,
    timeout: MessageSeconds = 60.0,
    session_mb: SessionMb = 4096,
    drain: DrainSeconds = 30.0,
    config: Config = None,
) -> None:
    """Deal correlated randomness to pairs of Alice and Bob. The dealer must side with neither of them.

    Example:  sotto dealer --listen 0.0.0.0:7200 --keys keys/dealer
    """
    from sotto.commands.parties.service import load_dealing, run_service
    from sotto.serving.limits import Limits
    from sotto.serving.service.sessions import ServiceConfig

    where = address(listen, "--listen")
    require_keys(where[0], keys, "--listen")
    modes = tuple(mode or registry.paradigm("mpc").modes[:2])
    service = ServiceConfig(
        role="dealer",
        load=partial(load_dealing, modes, str(stock.absolute()) if stock else "", idle),
        keys=keys.absolute() if keys else None,
        limits=Limits(
            sessions=max_sessions,
            per_client=max_per_client,
            starts_per_minute=max_starts,
            waiting=max_waiting,
            wait_seconds=wait,
            idle_seconds=idle,
            message_seconds=timeout,
            session_mb=session_mb,
            drain_seconds=drain,
        ),
        token=read_token(token_file),
        denied=denied(deny),
    )
    run_service(service, where, health=health, log_format=log_format)
