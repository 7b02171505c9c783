"""Who a peer is: the one role and the name that its certificate gives it.

A certificate of Sotto's authority (:mod:`sotto.serving.certificates.authority`) says ``sotto:role/bob`` in its subject
alternative names and a name in its subject.  TLS has proved that the peer holds the certificate's key before anybody
looks here; who asks for a role refuses the others, so that an Alice can pose neither as Bob nor as the dealer.  Host
names are not checked: a party is whoever holds its certificate, wherever it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from sotto.link.errors import LinkError

Role: TypeAlias = Literal["alice", "bob", "dealer"]
ROLES: tuple[Role, ...] = get_args(Role)
ROLE_URI = "sotto:role/"
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Identity:
    """What a certificate proves."""

    role: Role
    name: str

    def __str__(self) -> str:
        return self.name if self.name == self.role else f"{self.role} '{self.name}'"


def identity_of(certificate: Mapping[str, Any] | None) -> Identity | None:
    """The identity in a verified certificate as :meth:`ssl.SSLSocket.getpeercert` gives it; None when it has none."""
    if not certificate:
        return None
    uris = [value for kind, value in certificate.get("subjectAltName", ()) if kind == "URI"]
    roles = [uri.removeprefix(ROLE_URI) for uri in uris if uri.startswith(ROLE_URI)]
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    if len(roles) != 1 or len(names) != 1 or not NAME_PATTERN.fullmatch(names[0]):
        return None
    return next((Identity(role, names[0]) for role in ROLES if role == roles[0]), None)


def require_role(identity: Identity | None, *roles: Role) -> Identity:
    """``identity`` when it has one of ``roles``.  Raises :class:`LinkError`, one line for both sides."""
    wanted = " or ".join(roles)
    if identity is None:
        raise LinkError(
            "no-role", f"the certificate names no role, {wanted} is needed: make certificates with 'sotto keys'"
        )
    if identity.role not in roles:
        raise LinkError(
            "wrong-certificate",
            f"the certificate is that of {identity}, {wanted} is needed: use the right folder of keys",
        )
    return identity


def require_name(identity: Identity | None, name: str | None, where: str) -> Identity | None:
    """``identity`` when it has ``name``; None asks for no name.  Raises :class:`LinkError`, one line.

    ``where``: the peer's address, for the message.
    """
    if name is not None and (identity is None or identity.name != name):
        given = f"{identity.role} '{identity.name}'" if identity else "without a certificate"
        raise LinkError("wrong-address", f"{where} is {given}, not '{name}': check the address")
    return identity
