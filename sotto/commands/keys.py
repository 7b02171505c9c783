"""``sotto keys``: a private certificate authority, so that parties on different machines know one another."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from sotto.commands.options import Json, one_of
from sotto.console import escape, out
from sotto.link import ROLES, Role
from sotto.serving import authority
from sotto.serving.authority import Shown

app = typer.Typer(help="Certificates for Alice, Bob and the dealer.", no_args_is_help=True)

_Folder = Annotated[Path, typer.Argument(help="Folder of the authority and of all that it makes.", metavar="DIR")]
_In = Annotated[Path, typer.Option("--dir", help="Folder of the authority.")]
_Name = Annotated[str, typer.Argument(help="Name in the certificate: small letters and digits.")]
_Days = Annotated[int, typer.Option("--days", min=1, help="How long the certificates are valid.")]


@app.command()
def init(folder: _Folder = Path("keys"), days: _Days = authority.PARTY_DAYS, json: Json = False) -> None:
    """Make an authority and one certificate each for alice, bob and dealer. Nothing is ever overwritten.

    Example:  sotto keys init keys

    Copy keys/alice to Alice's machine, keys/bob to Bob's, keys/dealer to the dealer's; keys/authority stays.
    """
    _show(authority.create(folder, days=days), json=json)


@app.command()
def issue(
    name: _Name,
    role: Annotated[str, typer.Option("--role", help=f"{', '.join(ROLES)}.", callback=one_of(ROLES, "a role"))],
    folder: _In = Path("keys"),
    days: _Days = authority.PARTY_DAYS,
    json: Json = False,
) -> None:
    """Make one more certificate, for another Alice for instance.

    Example:  sotto keys issue clinic-7 --role alice --dir keys
    """
    _show([authority.issue(folder, name, cast(Role, role), days=days)], json=json)


@app.command()
def renew(name: _Name, folder: _In = Path("keys"), days: _Days = authority.PARTY_DAYS, json: Json = False) -> None:
    """Replace a certificate by one that is valid for longer; the key stays.

    Example:  sotto keys renew bob --dir keys
    """
    _show([authority.renew(folder, name, days=days)], json=json)


@app.command()
def show(folder: _Folder = Path("keys"), json: Json = False) -> None:
    """Show whose certificates are there and until when they are valid.

    Example:  sotto keys show keys
    """
    _show(authority.show_all(folder), json=json)


def _show(certificates: Sequence[Shown], *, json: bool) -> None:
    if json:
        listing = [
            {
                "name": each.name,
                "role": each.role,
                "valid_until": each.ends.isoformat(),
                "days_left": each.days_left,
                "sha256": each.fingerprint,
                "folder": str(each.path.parent),
            }
            for each in certificates
        ]
        sys.stdout.write(json_module.dumps(listing, indent=1) + "\n")
        return
    table = Table("name", "role", "valid until", "folder", "SHA-256")
    for each in certificates:
        ends = f"{each.ends:%Y-%m-%d}" + ("" if each.days_left >= 0 else " (over)")
        table.add_row(each.name, each.role, ends, escape(str(each.path.parent)), f"{each.fingerprint[:16]}…")
    out.print(table)
