"""A private certificate authority for a few parties: keys on P-256, certificates that give one role and one name each.

    DIR/authority/    authority.pem, authority.key      stays with whoever runs the whole; never copied
    DIR/bob/          certificate.pem, key.pem, authority.pem      goes to Bob's machine, and alike for the others

Folders have mode 0700, keys 0600; no key is ever overwritten.  A certificate holds ``sotto:role/bob`` among its subject
alternative names (:mod:`sotto.link.identity`) and the use that the role has: Alice connects, the dealer listens, Bob
does both.  So TLS itself refuses an Alice who listens.  There is no revocation list: a service refuses names that it is
told to (``--deny``), and a certificate ends with its validity.
"""

from __future__ import annotations

import datetime
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sotto.link import ROLES, Role
from sotto.link.identity import NAME_PATTERN, ROLE_URI
from sotto.serving.keys import AUTHORITY, CERTIFICATE, KEY

AUTHORITY_FOLDER, AUTHORITY_KEY = "authority", "authority.key"
AUTHORITY_DAYS = 3650
PARTY_DAYS = 397
_MOST_BYTES = 1 << 16
_USES = {
    "alice": [ExtendedKeyUsageOID.CLIENT_AUTH],
    "bob": [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    "dealer": [ExtendedKeyUsageOID.SERVER_AUTH],
}


class AuthorityError(ValueError):
    """Keys or certificates that cannot be made or used; the message says what to do."""


@dataclass(frozen=True)
class Shown:
    """What a certificate says."""

    name: str
    role: str
    begins: datetime.datetime
    ends: datetime.datetime
    fingerprint: str
    path: Path

    @property
    def days_left(self) -> int:
        """Whole days until it ends, negative after."""
        return (self.ends - _now()).days


def create(folder: Path, *, days: int = PARTY_DAYS) -> list[Shown]:
    """A new authority in ``folder`` with one certificate for each role.

    Raises :class:`AuthorityError` when an authority is there already (it is left alone), or ``folder`` is not writable.
    """
    home = folder / AUTHORITY_FOLDER
    if home.exists():
        raise AuthorityError(f"{home}: is there already and is never overwritten; 'sotto keys issue' adds certificates")
    for role in ROLES:
        if (folder / role).exists():
            raise AuthorityError(f"{folder / role}: is there already and is never overwritten; choose another folder")
    _make_folder(folder)
    _make_folder(home)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Sotto authority {os.urandom(4).hex()}")])
    certificate = (
        _builder(name, name, key.public_key(), AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_new(home / AUTHORITY_KEY, _pem(key))
    _write_new(home / AUTHORITY, certificate.public_bytes(serialization.Encoding.PEM))
    return [issue(folder, role, role, days=days) for role in ROLES]


def issue(folder: Path, name: str, role: Role, *, days: int = PARTY_DAYS) -> Shown:
    """A key and a certificate in ``folder``/``name``.  Raises :class:`AuthorityError`."""
    if not NAME_PATTERN.fullmatch(name) or name == AUTHORITY_FOLDER:
        raise AuthorityError(f"'{name[:70]}' is no name: use small letters, digits, '.', '_' and '-', at most 63")
    if role not in ROLES:
        raise AuthorityError(f"'{role}' is no role: choose one of {', '.join(ROLES)}")
    authority_key, authority = _load_authority(folder)
    home = folder / name
    if home.exists():
        raise AuthorityError(f"{home}: is there already and is never overwritten; 'sotto keys renew' prolongs it")
    _make_folder(home)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(name, role, key.public_key(), authority_key, authority, days)
    _write_new(home / KEY, _pem(key))
    _write_new(home / CERTIFICATE, certificate.public_bytes(serialization.Encoding.PEM))
    _write_new(home / AUTHORITY, authority.public_bytes(serialization.Encoding.PEM))
    return show(home)


def renew(folder: Path, name: str, *, days: int = PARTY_DAYS) -> Shown:
    """A new certificate for the key that ``name`` has, in place of the old one.  Raises :class:`AuthorityError`."""
    authority_key, authority = _load_authority(folder)
    before = show(folder / name)
    try:  # its name and role are taken over, so they must be this authority's word and not somebody's who edited it
        _read_certificate(before.path).verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        raise AuthorityError(f"{before.path}: was not issued by this authority; 'sotto keys issue' adds one") from None
    public = _public_key(before.path)
    role = next(known for known in ROLES if known == before.role)
    certificate = _certificate(before.name, role, public, authority_key, authority, days)
    partial = before.path.with_name(f".{CERTIFICATE}.{os.urandom(4).hex()}")
    _write_new(partial, certificate.public_bytes(serialization.Encoding.PEM))
    partial.replace(before.path)
    return show(folder / name)


def show(folder: Path) -> Shown:
    """What the certificate in a party's folder says.  Raises :class:`AuthorityError`."""
    path = folder / CERTIFICATE
    certificate = _read_certificate(path)
    try:
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = alternative.get_values_for_type(x509.UniformResourceIdentifier)
        (role,) = (uri.removeprefix(ROLE_URI) for uri in uris if uri.startswith(ROLE_URI))
        (name,) = (str(each.value) for each in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
    except (x509.ExtensionNotFound, ValueError):
        raise AuthorityError(f"{path}: is no certificate of 'sotto keys'") from None
    if role not in ROLES or not NAME_PATTERN.fullmatch(name):
        raise AuthorityError(f"{path}: is no certificate of 'sotto keys'")
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return Shown(name, role, certificate.not_valid_before_utc, certificate.not_valid_after_utc, digest, path)


def show_all(folder: Path) -> list[Shown]:
    """Every certificate in ``folder``, a party's or an authority's.  Raises :class:`AuthorityError`."""
    if (folder / CERTIFICATE).is_file():
        return [show(folder)]
    if not folder.is_dir():
        raise AuthorityError(f"{folder}: there are no keys; 'sotto keys init' makes them")
    homes = sorted(path.parent for path in folder.glob(f"*/{CERTIFICATE}"))
    if not homes:
        raise AuthorityError(f"{folder}: there are no keys; 'sotto keys init' makes them")
    return [show(home) for home in homes]


def _certificate(
    name: str,
    role: Role,
    public: ec.EllipticCurvePublicKey,
    authority_key: ec.EllipticCurvePrivateKey,
    authority: x509.Certificate,
    days: int,
) -> x509.Certificate:
    if not 1 <= days <= AUTHORITY_DAYS:
        raise AuthorityError(f"a certificate is valid for 1 to {AUTHORITY_DAYS} days, not {days}")
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
    now = _now()
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
    path = home / AUTHORITY_KEY
    certificate = _read_certificate(home / AUTHORITY)
    content = _read(path)
    if path.stat().st_mode & 0o077:
        raise AuthorityError(f"{path}: other users may open this key; run chmod 600 on it")
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise AuthorityError(f"{path}: is no private key of 'sotto keys'") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise AuthorityError(f"{path}: is no private key of 'sotto keys'")
    try:
        certificate.verify_directly_issued_by(certificate)
        same = certificate.public_key() == key.public_key()
    except (ValueError, TypeError, InvalidSignature):
        same = False
    if not same:
        raise AuthorityError(f"{home}: key and certificate do not belong together")
    return key, certificate


def _public_key(path: Path) -> ec.EllipticCurvePublicKey:
    public = _read_certificate(path).public_key()
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise AuthorityError(f"{path}: is no certificate of 'sotto keys'")
    return public


def _read_certificate(path: Path) -> x509.Certificate:
    content = _read(path)
    try:
        return x509.load_pem_x509_certificate(content)
    except ValueError:
        raise AuthorityError(f"{path}: is no certificate") from None


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES or not path.is_file():
            raise AuthorityError(f"{path}: is no file that 'sotto keys' made")
        return path.read_bytes()
    except OSError as error:
        raise AuthorityError(f"{path}: cannot be read ({error.strerror}); 'sotto keys init' makes keys") from None


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise AuthorityError(f"{path}: cannot be made ({error.strerror})") from None
    if path.stat().st_mode & 0o077:
        raise AuthorityError(f"{path}: other users may open this folder; run chmod 700 on it or choose another")


def _write_new(path: Path, content: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise AuthorityError(f"{path}: is there already and is never overwritten") from None
    except OSError as error:
        raise AuthorityError(f"{path}: cannot be written ({error.strerror})") from None


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
