"""The command line: one Typer application, one module per command, one line per error.

Exit codes: 0 done, 1 failed, 2 wrong usage.  A traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sotto.commands import (
    alice,
    attack,
    bench,
    bob,
    corpus,
    dealer,
    demo,
    keys,
    prepare,
    report,
    reproduce,
    simulate,
    sweep,
    train,
)
from sotto.configuration import settings_of
from sotto.console import err, escape, listen_to_packages

_PACKAGES = ("adversarial", "audio", "bench", "he", "hashing", "keyed", "link", "models", "mpc", "serving")

app = typer.Typer(
    name="sotto",
    help="Private speech inference between Alice, who has speech, and Bob, who has a model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command("bench")(bench.bench)
app.command("simulate")(simulate.simulate)
app.command("reproduce")(reproduce.reproduce)
app.command("report")(report.report)
app.command("demo")(demo.demo)
app.command("sweep")(sweep.sweep)
app.command("attack")(attack.attack)
app.command("train")(train.train)
app.command("prepare")(prepare.prepare)
app.command("bob", context_settings=settings_of("bob"))(bob.bob)
app.command("alice", context_settings=settings_of("alice"))(alice.alice)
app.command("dealer", context_settings=settings_of("dealer"))(dealer.dealer)
app.add_typer(keys.app, name="keys")
app.add_typer(corpus.app, name="corpus")


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback when a command fails.")] = False,
) -> None:
    """Private speech inference between Alice, who has speech, and Bob, who has a model."""


def main() -> None:
    """Entry point of the ``sotto`` script."""
    debug = "--debug" in sys.argv
    # Allowed anywhere on the line, as people add it to a command that has just failed.
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    listen_to_packages()
    try:
        app(prog_name="sotto")
    except KeyboardInterrupt:
        err.print("interrupted: what was finished is kept and will be reused")
        sys.exit(1)
    except Exception as error:
        if debug:
            raise
        err.print(f"[bold red]error:[/bold red] {escape(one_line(error))}", soft_wrap=True)
        sys.exit(1)


def one_line(error: Exception) -> str:
    """An error as one line; its kind is named only where its text alone would not be understood."""
    text = " ".join(str(error).split())
    known = type(error).__module__.split(".")[0] in _PACKAGES
    return text if known and text else f"{type(error).__name__}: {text or 'no further detail'} (--debug shows where)"


if __name__ == "__main__":
    main()
