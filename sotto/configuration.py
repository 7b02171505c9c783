"""Where a party's settings come from: flags, then environment, then a TOML file, then defaults.

A file has one table for each party, ``[bob]``, ``[alice]``, ``[dealer]``, whose keys are the long names of the options
with underscores (``max_sessions = 4``).  The environment variable of an option is ``SOTTO_BOB_MAX_SESSIONS``.  Relative
paths in a file are relative to the file.  A key that is no option is refused, so that a slip is not a default.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

_MOST_BYTES = 1 << 20


def settings_of(command: str) -> dict[str, Any]:
    """What makes a Typer command read its environment variables."""
    return {"auto_envvar_prefix": f"SOTTO_{command.upper()}"}


def _load(context: typer.Context, path: Path | None) -> Path | None:
    if path is None:
        return None
    name = context.info_name or ""
    known = {parameter.name: parameter for parameter in context.command.params}
    table = read_table(path, name)
    for key, value in table.items():
        parameter = known.get(key)
        if parameter is None or key in ("config", "help"):
            names = ", ".join(sorted(str(each) for each in known if each not in ("config", "help")))
            raise typer.BadParameter(f"{path}: [{name}] has no setting '{key}'; there are {names}")
        if key in _PATHS and isinstance(value, str):
            table[key] = str(path.parent / Path(value).expanduser())
    context.default_map = {**(context.default_map or {}), **table}
    return path


_PATHS = ("keys", "model", "own", "stock", "store", "token_file", "clips")

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with these settings; flags and SOTTO_… variables win over it.",
        callback=_load,
        is_eager=True,
        show_default=False,
    ),
]


def read_table(path: Path, party: str) -> dict[str, Any]:
    """The table of ``party`` in a TOML file; empty when it has none.  Raises ``typer.BadParameter``, one line."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise typer.BadParameter(f"{path}: is too large for a configuration file")
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path}: cannot be read ({error.strerror})") from None
    except (tomllib.TOMLDecodeError, UnicodeError) as error:
        raise typer.BadParameter(f"{path}: is no TOML file ({error})") from None
    strangers = content.keys() - {"alice", "bob", "dealer"}
    table = content.get(party, {})
    if strangers or not isinstance(table, dict):
        raise typer.BadParameter(f"{path}: holds tables [alice], [bob], [dealer] and nothing else")
    return table
