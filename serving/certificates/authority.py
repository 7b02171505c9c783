"""A private certificate authority for a few parties: keys on P-256, certificates that give one role and one name each.

    DIR/authority/    authority.pem, authority.key    stays with whoever runs the authority; never copied
    DIR/bob/          certificate.pem, authority.pem  of each party that it knows; key.pem too where it made the key

**Whoever holds authority.key can pose as anybody, the dealer included**, and so read what Alice asks.  A party that
makes its own key (:mod:`sotto.serving.certificates.requests`) lets nobody else have that; a party whose key was made
here (:func:`create`, :func:`issue`) shares it with this machine, which is meant for parties on one machine.

Folders have mode 0700, keys 0600; no key is ever overwritten.  A certificate holds ``sotto:role/bob`` among its subject
alternative names (:mod:`sotto.link.identity`) and the use that the role has: Alice connects, the dealer listens, Bob
does both.  So TLS itself refuses an Alice who listens.  One name has one key: a second request under a name that is
taken is refused, so that a party pinned by its name stays that party.  There is no revocation list: a service refuses
names that it is told to (``--deny``), and a certificate ends with its validity.
"""

from __future__ import annotations

import datetime
import os
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sotto.link import ROLES, Role
from sotto.link.identity import ROLE_URI
from sotto.serving.certificates import key_files
from sotto.serving.certificates.key_files import AuthorityError, Shown
from sotto.serving.certificates.keys import AUTHORITY, CERTIFICATE, KEY, PARTY_DAYS
from sotto.serving.certificates.requests import Requested

AUTHORITY_FOLDER, AUTHORITY_KEY = "authority", "authority.key"
AUTHORITY_DAYS = 3650
_USES = {
    "alice": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "bob": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    "dealer": [ExtendedKeyUsageOID.SERVER_AUTH],
}


def found(folder: Path) -> str:
    """A new authority in ``folder``, of no party yet; the fingerprint of its key.

    Raises :class:`AuthorityError` when an authority is there already (it is left alone), or ``folder`` is not writable.
    """
    home = folder / AUTHORITY_FOLDER
    if home.exists():
        raise AuthorityError(
            "exists", f"{home}: is there already and is never overwritten; 'sotto keys sign' adds certificates"
        )
    key_files.make_folder(folder)
    key_files.make_folder(home)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Sotto authority {os.urandom(4).hex()}")])
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    key_files.write_new(home / AUTHORITY_KEY, key_files.pem(key))
    key_files.write_new(home / AUTHORITY, key_files.pem_of(certificate))
    return key_files.fingerprint_of(key.public_key())


def create(folder: Path, *, days: int = PARTY_DAYS) -> list[Shown]:
    """A new authority in ``folder`` with one key and certificate for each role: every private key is then here.

    Raises :class:`AuthorityError` as :func:`found` does, and when a party's folder is there already.
    """
    for role in ROLES:
        if (folder / role).exists():
            raise AuthorityError(
                "exists", f"{folder / role}: is there already and is never overwritten; choose another folder"
            )
    found(folder)
    return [issue(folder, role, role, days=days) for role in ROLES]


def issue(folder: Path, name: str, role: Role, *, days: int = PARTY_DAYS) -> Shown:
    """A key and a certificate in ``folder``/``name``.  Raises :class:`AuthorityError`."""
    _require_party(name, role)
    authority_key, authority = _load_authority(folder)
    home = folder / name
    if home.exists():
        raise AuthorityError(
            "exists", f"{home}: is there already and is never overwritten; 'sotto keys renew' prolongs it"
        )
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(name, role, key.public_key(), authority_key, authority, days)
    key_files.make_folder(home)
    key_files.write_new(home / KEY, key_files.pem(key))
    key_files.write_new(home / CERTIFICATE, key_files.pem_of(certificate))
    key_files.write_new(home / AUTHORITY, key_files.pem_of(authority))
    return key_files.show(home)


def sign(folder: Path, requested: Requested, role: Role, *, days: int = PARTY_DAYS) -> Shown:
    """A certificate in ``folder``/NAME for the key of a request, with ``role``: what the authority grants.

    ``requested`` comes from :func:`sotto.serving.certificates.requests.read`, which verifies that its maker holds the
    key.  The same key under the same name and role gets another certificate, which is how a party renews.  Raises
    :class:`AuthorityError`, when the request asks for another role for instance, or its name belongs to another key.
    """
    _require_party(requested.name, role)
    if requested.role != role:
        raise AuthorityError(
            "wrong-role", f"{requested.path}: asks for the role {requested.role}, not {role}: nothing was signed"
        )
    authority_key, authority = _load_authority(folder)
    if requested.public == authority_key.public_key():
        raise AuthorityError(
            "authoritys-own-key",
            f"{requested.path}: is made with the authority's own key; a party needs one of its own",
        )
    home = folder / requested.name
    try:
        home.mkdir(mode=0o700)  # of two that sign at once, one makes the folder
    except FileExistsError:
        key_files.make_folder(home)  # which looks at who may open it
        before = _issued(home, authority)
        if before.role != role or _public_key(before.path) != requested.public:
            raise AuthorityError(
                "name-taken",
                f"{home}: is {before.role} '{requested.name}', with another key or role; ask under another name, "
                "or move that folder away once its certificate is over or denied",
            ) from None
    except OSError as error:
        raise AuthorityError("cannot-make", f"{home}: cannot be made ({error.strerror})") from None
    certificate = _certificate(requested.name, role, requested.public, authority_key, authority, days)
    key_files.replace(home / CERTIFICATE, key_files.pem_of(certificate))
    key_files.replace(home / AUTHORITY, key_files.pem_of(authority))
    return key_files.show(home)


def renew(folder: Path, name: str, *, days: int = PARTY_DAYS) -> Shown:
    """A new certificate for the key that ``name`` has, in place of the old one.  Raises :class:`AuthorityError`."""
    authority_key, authority = _load_authority(folder)
    before = _issued(folder / name, authority)
    certificate = _certificate(before.name, before.role, _public_key(before.path), authority_key, authority, days)
    key_files.replace(before.path, key_files.pem_of(certificate))
    return key_files.show(folder / name)


def show_all(folder: Path) -> list[Shown]:
    """Every certificate in ``folder``, a party's or an authority's.  Raises :class:`AuthorityError`."""
    if (folder / CERTIFICATE).is_file():
        return [key_files.show(folder)]
    homes = sorted(path.parent for path in folder.glob(f"*/{CERTIFICATE}"))
    if not homes:
        raise AuthorityError("no-certificates", f"{folder}: there are no certificates; 'sotto keys' makes them")
    return [key_files.show(home) for home in homes]


def fingerprint(folder: Path) -> str:
    """SHA-256 of the authority's public key, 64 hexadecimal digits, for parties to compare.

    Raises :class:`AuthorityError`.
    """
    return key_files.fingerprint_of(_load_authority(folder)[0].public_key())


def _require_party(name: str, role: str) -> None:
    key_files.require_party(name, role)
    if name == AUTHORITY_FOLDER:
        raise AuthorityError("reserved-name", f"'{name}' is no name for a party: it is the authority's")


def _issued(home: Path, authority: x509.Certificate) -> Shown:
    """What this authority issued: its name and role are taken over, so they must not be somebody's who edited it."""
    before = key_files.show(home)
    if not key_files.is_issued_by(key_files.read_certificate(before.path), authority):
        raise AuthorityError(
            "not-issued-here", f"{before.path}: was not issued by this authority; 'sotto keys issue' adds one"
        )
    return before


def _certificate(
    name: str,
    role: Role,
    public: ec.EllipticCurvePublicKey,
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    days: int,
) -> x509.Certificate:
    if not 1 <= days <= AUTHORITY_DAYS:
        raise AuthorityError("bad-days", f"a certificate is valid for 1 to {AUTHORITY_DAYS} days, not {days}")
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    uri = x509.UniformResourceIdentifier(f"{ROLE_URI}{role}")
    return (
        _builder(subject, authority.subject, public, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(_USES[role]), critical=True)
        .add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, days: int
) -> x509.CertificateBuilder:
    now = key_files.now()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ a little
        .not_valid_after(now + datetime.timedelta(days=days))
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _load_authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    home = folder / AUTHORITY_FOLDER
    if not home.is_dir():
        raise AuthorityError("no-authority", f"{home}: there is no authority; 'sotto keys init' makes one")
    certificate, key = key_files.read_certificate(home / AUTHORITY), key_files.read_key(home / AUTHORITY_KEY)
    if not key_files.is_issued_by(certificate, certificate) or _public_key(home / AUTHORITY) != key.public_key():
        raise AuthorityError("key-mismatch", f"{home}: key and certificate do not belong together")
    return key, certificate


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    return key_files.public_key_of(key_files.read_certificate(path), path)
