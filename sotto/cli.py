"""The command line: one Typer application, one module per command, one line per error.

Exit codes: 0 done, 1 failed, 2 wrong usage.  A traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import errno
import gc
import importlib
import signal
import sys
import warnings
from difflib import get_close_matches
from functools import cache
from types import FrameType
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command, get_group

import sotto
from sotto.commands.option_group import expanded
from sotto.configuration import settings_of
from sotto.console import err, escape, listen_to_packages, out

_COMMANDS = {  # in the order that --help lists them, each with the module that holds it
    "bench": "sotto.commands.bench",
    "simulate": "sotto.commands.simulate",
    "reproduce": "sotto.commands.reproduce",
    "report": "sotto.commands.report",
    "demo": "sotto.commands.demo",
    "sweep": "sotto.commands.sweep",
    "attack": "sotto.commands.attack",
    "train": "sotto.commands.train",
    "corpus": "sotto.commands.corpus",
    "prepare": "sotto.commands.parties.prepare",
    "keys": "sotto.commands.parties.keys",
    "bob": "sotto.commands.parties.bob",
    "alice": "sotto.commands.parties.alice",
    "dealer": "sotto.commands.parties.dealer",
}
_CONFIGURED = ("bob", "alice", "dealer")  # also by a file and the environment
_LOOKS: dict[str, Any] = {"add_completion": False, "pretty_exceptions_enable": False, "rich_markup_mode": "rich"}


class _OnDemand(TyperGroup):
    """Imports a command when it is asked for: all of them together take seconds to import, ``keys`` a fraction.

    Typer brings a Click of its own, or not, by its version; hence no Click types here.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in _COMMANDS and (near := get_close_matches(cmd_name, _COMMANDS, 1)):
            ctx.fail(f"No such command '{cmd_name}': did you mean {near[0]}?")
        return _command(cmd_name) if cmd_name in _COMMANDS else None

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # which Typer would end on without a word
            warnings.simplefilter("ignore")  # a pool says on its way out that it lets tasks go
            err.print("interrupted: what was finished is kept and will be reused")
            raise typer.Exit(1) from None


@cache
def _command(name: str) -> Any:
    """The command of the module with its name, or the group that the module holds."""
    module = importlib.import_module(_COMMANDS[name])
    if isinstance(group := getattr(module, "app", None), typer.Typer):
        made = get_group(group)
        made.name = name
        return made
    alone = typer.Typer(**_LOOKS)
    settings = settings_of(name) if name in _CONFIGURED else None
    alone.command(name, context_settings=settings)(expanded(getattr(module, name)))
    return get_command(alone)


app = typer.Typer(
    cls=_OnDemand,
    name="sotto",
    help="Private speech inference between Alice, who has speech, and Bob, who has a model.",
    no_args_is_help=True,
    **_LOOKS,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"sotto {sotto.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback when a command fails.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    """Private speech inference between Alice, who has speech, and Bob, who has a model."""


def main() -> None:
    """Entry point of the ``sotto`` script."""
    debug = "--debug" in sys.argv
    # Allowed anywhere on the line, as people add it to a command that has just failed.
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    gc.set_threshold(100_000)  # a third of the time that PyTorch takes to import is collecting nothing
    listen_to_packages()
    signal.signal(signal.SIGTERM, _terminated)
    try:
        app(prog_name="sotto")
    except Exception as error:
        if debug:
            raise
        err.print(f"[bold red]error:[/bold red] {escape(one_line(error))}", soft_wrap=True)
        sys.exit(1)
    finally:
        gc.freeze()  # the system frees what is left; to walk PyTorch's objects once more takes half a second


def _terminated(number: int, frame: FrameType | None) -> None:
    """Leave as an error does: processes are ended, and what they shared is given back."""
    raise SystemExit(128 + number)


def one_line(error: Exception) -> str:
    """An error as one line; its kind is named only where its text alone would not be understood."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{text}: make room, or name another folder with --out, or for what is kept with SOTTO_CACHE"
    known = type(error).__module__.startswith("sotto.")
    return text if known and text else f"{type(error).__name__}: {text or 'no further detail'} (--debug shows where)"


if __name__ == "__main__":
    main()
