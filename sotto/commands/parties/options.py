"""Options that Bob, Alice and the dealer share, and the checks of their values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sotto.commands.options import one_of
from sotto.configuration import read_table
from sotto.serving import registry
from sotto.serving.reveal import REVEALS

if TYPE_CHECKING:  # the packages below bring NumPy, for which no --help waits
    from sotto.serving.adapters import Hosted
    from sotto.serving.service.sessions import Address, DealerHosted

_MOST_TOKEN = 1024


def address(text: str, option: str, keys: Path | None) -> Address:
    """``HOST:PORT`` or ``[IPv6]:PORT``, without certificates of this machine alone.

    Raises ``typer.BadParameter``: wrong usage is told before anything is loaded.
    """
    from sotto.link.connection import address_of, is_loopback

    try:
        host, port = address_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
    if keys is None and not is_loopback(host):
        raise typer.BadParameter(
            f"{host} is not this machine alone: get a certificate ('sotto keys request', or 'sotto keys init' for all "
            "parties at once) and give --keys",
            param_hint=option,
        )
    return host, port


def require_names(names: list[str], option: str) -> None:
    """Raise ``typer.BadParameter`` for a name that no certificate can have."""
    from sotto.link.identity import NAME_PATTERN

    for name in names:
        if not NAME_PATTERN.fullmatch(name):
            raise typer.BadParameter(f"'{name[:70]}' is no name in a certificate", param_hint=option)


def require_name(name: str | None, keys: Path | None, option: str) -> str | None:
    """``name`` when a certificate can have it and there are certificates.  Raises ``typer.BadParameter``."""
    require_names([name] if name is not None else [], option)
    if name is not None and keys is None:
        raise typer.BadParameter("only certificates have names: give --keys too", param_hint=option)
    return name


def require_made_for(paradigm: str, folder: Path) -> None:
    """Raise ``typer.BadParameter`` for a folder whose own settings name another paradigm, before anything is loaded."""
    settings = folder / "bob.toml"
    named = read_table(settings, "bob").get("paradigm", paradigm) if settings.is_file() else paradigm
    if named != paradigm:
        raise typer.BadParameter(
            f"{folder} was prepared for {named}, not {paradigm}: give --config {settings}", param_hint="--paradigm"
        )


def read_token(path: Path | None) -> bytes:
    """The token in a file, without the white space around it; empty without a file."""
    if path is None:
        return b""
    try:
        if path.stat().st_mode & 0o077:
            raise typer.BadParameter(f"{path}: other users may read this token; run chmod 600 on it")
        token = path.read_bytes().strip()
    except OSError as error:
        raise typer.BadParameter(f"{path}: cannot be read ({error.strerror})") from None
    if not 16 <= len(token) <= _MOST_TOKEN:
        raise typer.BadParameter(f"{path}: a token has 16 to {_MOST_TOKEN} bytes, this one has {len(token)}")
    return token


Keys = Annotated[
    Path | None,
    typer.Option("--keys", help="Folder of this party's certificate and key.", show_default="none: loopback only"),
]
Token = Annotated[
    Path | None,
    typer.Option("--token-file", help="File with a token that clients of this machine must show.", show_default=False),
]
Dealer = Annotated[
    str | None,
    typer.Option("--dealer", help="Where the dealer is, HOST:PORT (mpc only, not two-party).", show_default=False),
]
DealerName = Annotated[
    str | None, typer.Option("--dealer-name", help="Name that the dealer's certificate must have.", show_default="any")
]
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        help="Folder of what was prepared and not used (mpc, mode two-party).",
        show_default="nothing is kept",
    ),
]
ParadigmName = Annotated[
    str,
    typer.Option(
        "--paradigm", help=f"One of {', '.join(registry.names())}.", callback=one_of(registry.names(), "a paradigm")
    ),
]
Mode = Annotated[str, typer.Option("--mode", help="Mode of the paradigm.", show_default="its first")]
Reveal = Annotated[
    str,
    typer.Option(
        "--reveal",
        help="class: labels alone; logits: scores too; values: what a network without classes gives (mpc).",
        callback=one_of(REVEALS, "what is revealed"),
    ),
]


@dataclass(frozen=True)
class Service:
    """What Bob and the dealer are told alike: who may come, how much anybody may take, who watches."""

    keys: Keys = None
    token_file: Token = None
    deny: Annotated[
        list[str] | None,
        typer.Option("--deny", help="Name in a certificate that is not served; may be repeated.", show_default=False),
    ] = None
    health: Annotated[
        str | None,
        typer.Option("--health", help="Health endpoint, HOST:PORT on loopback or unix:PATH.", show_default=False),
    ] = None
    log_format: Annotated[
        str, typer.Option("--log-format", help="text or json.", callback=one_of(("text", "json"), "a log format"))
    ] = "text"
    max_sessions: Annotated[int, typer.Option("--max-sessions", min=1, help="Sessions at the same time.")] = 8
    max_per_client: Annotated[int, typer.Option("--max-per-client", min=1, help="Of one client at the same time.")] = 4
    max_starts: Annotated[
        int, typer.Option("--max-starts", min=1, help="Sessions one client may start in a minute.")
    ] = 600
    max_waiting: Annotated[int, typer.Option("--max-waiting", min=1, help="Clients that may wait for a place.")] = 16
    wait: Annotated[float, typer.Option("--wait", min=0.1, help="Seconds they wait.")] = 30.0
    idle: Annotated[float, typer.Option("--idle", min=0.1, help="Seconds a client may be silent.")] = 600.0
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds any message may take.")] = 60.0
    session_mb: Annotated[int, typer.Option("--session-mb", min=64, help="Memory of one session, MB.")] = 4096
    drain: Annotated[float, typer.Option("--drain", min=0.1, help="Seconds running sessions get at the end.")] = 30.0

    def run(
        self,
        role: Literal["bob", "dealer"],
        load: Callable[[], Hosted | DealerHosted],
        listen: str,
        *,
        max_queries: int = 0,
        **dealer: Any,
    ) -> None:
        """Serve at ``listen`` until the user or the system ends it.  ``dealer``: where Bob's is, and its name."""
        from sotto.commands.parties.service import run_service
        from sotto.serving.limits import Limits
        from sotto.serving.service.sessions import ServiceConfig

        where = address(listen, "--listen", self.keys)
        require_names(self.deny or [], "--deny")
        limits = Limits(
            sessions=self.max_sessions,
            per_client=self.max_per_client,
            starts_per_minute=self.max_starts,
            waiting=self.max_waiting,
            wait_seconds=self.wait,
            idle_seconds=self.idle,
            message_seconds=self.timeout,
            queries=max_queries,
            session_mb=self.session_mb,
            drain_seconds=self.drain,
        )
        config = ServiceConfig(
            role=role,
            load=load,
            keys=self.keys.absolute() if self.keys else None,
            limits=limits,
            token=read_token(self.token_file),
            denied=frozenset(self.deny or ()),
            **dealer,
        )
        run_service(config, where, health=self.health, log_format=self.log_format)


def require_storing(folder: Path | None, paradigm: str, mode: str) -> None:
    """Raise ``typer.BadParameter`` where a folder is given to a mode that keeps no preparations."""
    if folder and (paradigm, mode) != ("mpc", "two-party"):
        raise typer.BadParameter("only mpc --mode two-party keeps what was prepared", param_hint="--store")
