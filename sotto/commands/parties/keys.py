"""``sotto keys``: how parties on different machines know one another: keys, requests, a private authority."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer
from rich.table import Table

from sotto.commands.options import Json, one_of
from sotto.console import escape, out, say, write_json
from sotto.serving.certificates.keys import PARTY_DAYS

if TYPE_CHECKING:
    from sotto.link import Role
    from sotto.serving.certificates.key_files import Shown

app = typer.Typer(help="Certificates for Alice, Bob and the dealer.", no_args_is_help=True)


def _roles() -> Iterable[str]:
    from sotto.link import ROLES

    return ROLES


_Folder = Annotated[Path, typer.Argument(help="Folder of the authority and of all that it makes.", metavar="DIR")]
_In = Annotated[Path, typer.Option("--dir", help="Folder of the authority.")]
_Name = Annotated[str, typer.Argument(help="Name in the certificate: small letters and digits.")]
_Role = Annotated[str, typer.Option("--role", help="alice, bob or dealer.", callback=one_of(_roles, "a role"))]
_Days = Annotated[int, typer.Option("--days", min=1, help="How long the certificates are valid.")]

_ALL_HERE = (
    "private keys were made here, and the authority can make more: whoever reads this folder can pose as anybody, the "
    "dealer included. That is for one machine; on several each party runs 'sotto keys request'"
)


@app.command()
def init(
    folder: _Folder = Path("keys"),
    days: _Days = PARTY_DAYS,
    authority_only: Annotated[
        bool, typer.Option("--authority-only", help="No parties: each makes its own key ('sotto keys request').")
    ] = False,
    json: Json = False,
) -> None:
    """Make an authority, and for parties on one machine a key and a certificate each. Nothing is ever overwritten.

    Example:  sotto keys init keys

    With --authority-only no party's key is made here: parties run 'sotto keys request', the authority 'sotto keys
    sign'. Whoever holds keys/authority can pose as any party, the dealer included, either way.
    """
    from sotto.serving.certificates import authority

    if authority_only:
        _show_authority(folder, authority.found(folder), json=json)
        return
    _show(authority.create(folder, days=days), json=json)
    say(_ALL_HERE)


@app.command()
def request(
    name: _Name,
    role: _Role,
    folder: Annotated[Path, typer.Option("--out", help="The party's own folder; its key never leaves it.")],
    json: Json = False,
) -> None:
    """Make a party's own private key, and a request for the authority to sign. Again: a new request for the same key.

    Example:  sotto keys request clinic-7 --role alice --out keys/clinic-7

    Send request.pem to the authority, and tell whoever runs it the fingerprint over another channel.
    """
    from sotto.serving.certificates import requests

    asked = requests.make(folder, name, cast("Role", role))
    shown = {"name": asked.name, "role": asked.role, "key_sha256": asked.fingerprint, "request": str(asked.path)}
    _print(shown, json=json)
    say(f"send {asked.path} to the authority and tell it the fingerprint; keep {asked.path.parent}/key.pem here")


@app.command()
def sign(
    asked: Annotated[Path, typer.Argument(help="A party's request.pem.", metavar="REQUEST")],
    role: Annotated[
        str,
        typer.Option("--role", help="The role that you grant it.", callback=one_of(_roles, "a role")),
    ],
    folder: Annotated[Path, typer.Option("--ca", help="Folder of the authority.")] = Path("keys"),
    fingerprint: Annotated[
        str, typer.Option("--fingerprint", help="The key's, as the party told you.", show_default="you are asked")
    ] = "",
    days: _Days = PARTY_DAYS,
    json: Json = False,
) -> None:
    """Issue a certificate for a request, with the one role that you name. Again: one that is valid for longer.

    Example:  sotto keys sign request.pem --role alice --ca keys

    Send the folder that it prints back to the party, and tell it the fingerprint of the authority's key.
    """
    from sotto.serving.certificates import authority, requests

    wanted = requests.read(asked)
    question = f"Does {wanted.role} '{wanted.name}' say that its key is {wanted.fingerprint}?"
    _require_same(wanted.fingerprint, fingerprint, question, f"{asked}: the key")
    _show([authority.sign(folder, wanted, cast("Role", role), days=days)], json=json)
    say(f"the authority's key is {authority.fingerprint(folder)}")


@app.command()
def install(
    source: Annotated[Path, typer.Argument(help="Folder that the authority sent back.", metavar="FOLDER")],
    folder: Annotated[Path, typer.Option("--into", help="The party's own folder, with its key.")],
    fingerprint: Annotated[
        str, typer.Option("--fingerprint", help="The authority's key, as it told you.", show_default="you are asked")
    ] = "",
    json: Json = False,
) -> None:
    """Take a certificate and its authority into the folder of the key, after checking that all of it fits.

    Example:  sotto keys install from-authority/clinic-7 --into keys/clinic-7

    The first installation decides which authority this party trusts; later ones take certificates of that one alone.
    """
    from sotto.serving.certificates import requests

    given = requests.given(source)
    if requests.trusted_in(folder) != given.fingerprint:  # another one than is trusted is refused below
        question = f"Does the authority say that its key is {given.fingerprint}?"
        _require_same(given.fingerprint, fingerprint, question, f"{source}: the authority's key")
    _show([requests.install(given, folder)], json=json)


@app.command()
def issue(
    name: _Name,
    role: _Role,
    folder: _In = Path("keys"),
    days: _Days = PARTY_DAYS,
    json: Json = False,
) -> None:
    """Make one more key and certificate here, for another Alice on this machine for instance.

    Example:  sotto keys issue clinic-7 --role alice --dir keys
    """
    from sotto.serving.certificates import authority

    _show([authority.issue(folder, name, cast("Role", role), days=days)], json=json)
    say(_ALL_HERE)


@app.command()
def renew(name: _Name, folder: _In = Path("keys"), days: _Days = PARTY_DAYS, json: Json = False) -> None:
    """Replace a certificate by one that is valid for longer; the key stays.

    Example:  sotto keys renew bob --dir keys

    A party on another machine installs it as it did the first one ('sotto keys install').
    """
    from sotto.serving.certificates import authority

    _show([authority.renew(folder, name, days=days)], json=json)


@app.command()
def show(folder: _Folder = Path("keys"), json: Json = False) -> None:
    """Show whose certificates are there and until when they are valid.

    Example:  sotto keys show keys
    """
    from sotto.serving.certificates import authority

    _show(authority.show_all(folder), json=json)


def _require_same(fingerprint: str, told: str, question: str, what: str) -> None:
    """Go on only when a person, or the option, says that this is the key it should be."""
    from sotto.serving.certificates.key_files import AuthorityError

    if told and told.lower().replace(":", "") != fingerprint:
        raise AuthorityError(
            "wrong-fingerprint", f"{what} is {fingerprint}, not the one that was told: nothing was done"
        )
    if not told and not typer.confirm(question, err=True):
        raise AuthorityError("not-confirmed", f"{what} was not confirmed: nothing was done")


def _show_authority(folder: Path, fingerprint: str, *, json: bool) -> None:
    from sotto.serving.certificates.authority import AUTHORITY_FOLDER

    _print({"authority": str(folder / AUTHORITY_FOLDER), "key_sha256": fingerprint}, json=json)
    say("whoever holds this folder can pose as any party, the dealer included: keep it off their machines")


def _print(shown: dict[str, str], *, json: bool) -> None:
    if json:
        write_json(shown)
        return
    for key, value in shown.items():
        out.print(f"{key.replace('_', ' ')}: {escape(value)}", soft_wrap=True)


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
        write_json(listing)
        return
    table = Table("name", "role", "valid until", "folder", "SHA-256")
    for each in certificates:
        ends = f"{each.ends:%Y-%m-%d}" + ("" if each.days_left >= 0 else " (over)")
        table.add_row(each.name, each.role, ends, escape(str(each.path.parent)), f"{each.fingerprint[:16]}…")
    out.print(table)
