"""``sotto dealer``: correlated randomness for Alices and Bobs who compute with secret shares (mpc)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from sotto.commands.options import one_of
from sotto.commands.parties import options
from sotto.configuration import Config
from sotto.serving import registry

_MODES = registry.paradigm("mpc").dealt
_SERVICE = options.Service(max_per_client=8, max_waiting=32)  # each session has two clients


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
    service: options.Service = _SERVICE,
    config: Config = None,
) -> None:
    """Deal correlated randomness to pairs of Alice and Bob. The dealer must side with neither of them.

    Example:  sotto dealer --listen 0.0.0.0:7200 --keys keys/dealer
    """
    from sotto.commands.parties.service import load_dealing

    modes = tuple(mode or registry.paradigm("mpc").modes[:2])
    load = partial(load_dealing, modes, str(stock.absolute()) if stock else "", service.idle)
    service.run("dealer", load, listen)
