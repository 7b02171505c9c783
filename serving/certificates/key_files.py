"""The files of keys and certificates: read within a size limit, written for their owner alone, never overwritten."""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sotto.link import ROLES, Coded, Role
from sotto.link.identity import NAME_PATTERN, ROLE_URI
from sotto.link.storage import opened, write_whole
from sotto.link.storage import write_new as write_file
from sotto.serving.certificates.keys import CERTIFICATE

#: What the library raises for a request or a certificate that is none, or none that it knows.
MALFORMED = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
_MOST_BYTES = 1 << 16


class AuthorityError(Coded, ValueError):
    """Keys or certificates that cannot be made or used; the message says what to do."""


@dataclass(frozen=True)
class Shown:
    """What a certificate says.  ``fingerprint``: SHA-256 of the certificate, in hexadecimal digits."""

    name: str
    role: Role
    begins: datetime.datetime
    ends: datetime.datetime
    fingerprint: str
    path: Path

    @property
    def days_left(self) -> int:
        """Whole days until it ends, negative after."""
        return (self.ends - now()).days


def show(folder: Path) -> Shown:
    """What the certificate in a party's folder says.  Raises :class:`AuthorityError`."""
    path = folder / CERTIFICATE
    return shown(read_certificate(path), path)


def shown(certificate: x509.Certificate, path: Path) -> Shown:
    """What a certificate says that was read from ``path``.  Raises :class:`AuthorityError`."""
    name, role = names_of(certificate, f"{path}: is no certificate of 'sotto keys'")
    digest = certificate.fingerprint(hashes.SHA256()).hex()
    return Shown(name, role, certificate.not_valid_before_utc, certificate.not_valid_after_utc, digest, path)


def names_of(document: x509.Certificate | x509.CertificateSigningRequest, complaint: str) -> tuple[str, Role]:
    """The one name and the one role that are told.  Raises :class:`AuthorityError` with ``complaint`` otherwise."""
    try:
        alternative = document.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = alternative.get_values_for_type(x509.UniformResourceIdentifier)
        (told,) = (uri.removeprefix(ROLE_URI) for uri in uris if uri.startswith(ROLE_URI))
        (name,) = (str(each.value) for each in document.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        (role,) = (known for known in ROLES if known == told)
    except (x509.ExtensionNotFound, *MALFORMED):
        raise AuthorityError("bad-names", complaint) from None
    if not NAME_PATTERN.fullmatch(name):
        raise AuthorityError("bad-names", complaint)
    return name, role


def require_party(name: str, role: str) -> None:
    """Raise :class:`AuthorityError` for what cannot be a party's name, or is no role."""
    if not NAME_PATTERN.fullmatch(name):
        raise AuthorityError(
            "bad-name", f"'{name[:70]}' is no name: use small letters, digits, '.', '_' and '-', at most 63"
        )
    if role not in ROLES:
        raise AuthorityError("bad-role", f"'{role[:70]}' is no role: choose one of {', '.join(ROLES)}")


def read_certificate(path: Path) -> x509.Certificate:
    """Raises :class:`AuthorityError` for a file that is missing, too large, or no certificate."""
    content = read(path)
    try:
        return x509.load_pem_x509_certificate(content)
    except MALFORMED:
        raise AuthorityError("not-a-certificate", f"{path}: is no certificate") from None


def is_issued_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether ``authority``, which must be one, has signed ``certificate``."""
    try:
        authority.verify_directly_issued_by(authority)
        certificate.verify_directly_issued_by(authority)
        return bool(authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca)
    except (InvalidSignature, x509.ExtensionNotFound, *MALFORMED):
        return False


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """A private key on P-256 that no other user may open.  Raises :class:`AuthorityError`."""
    content = read(path, private=True)
    try:
        key = serialization.load_pem_private_key(content, password=None)
    except MALFORMED:
        raise AuthorityError("not-a-key", f"{path}: is no private key of 'sotto keys'") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise AuthorityError("not-a-key", f"{path}: is no private key of 'sotto keys'")
    return key


def public_key_of(document: x509.Certificate | x509.CertificateSigningRequest, path: Path) -> ec.EllipticCurvePublicKey:
    """Its public key, a point of P-256.  Raises :class:`AuthorityError`."""
    try:
        public = document.public_key()
    except MALFORMED:
        public = None
    if not isinstance(public, ec.EllipticCurvePublicKey) or not isinstance(public.curve, ec.SECP256R1):
        raise AuthorityError("wrong-curve", f"{path}: its key is not on the curve P-256 that 'sotto keys' uses")
    return public


def fingerprint_of(public: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of a public key (its SubjectPublicKeyInfo in DER), 64 hexadecimal digits: what two people compare."""
    encoded = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()


def read(path: Path, *, private: bool = False) -> bytes:
    """A file of at most 64 KiB, which ``private`` refuses when others may open it.  Raises :class:`AuthorityError`."""
    what, advice = "file that 'sotto keys' made", "; 'sotto keys' makes keys"
    with opened(path, _MOST_BYTES, AuthorityError, what, private=private, advice=advice) as file:
        return file.read(_MOST_BYTES)


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as it is kept: PKCS #8, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def pem_of(document: x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """A certificate or a request as it is kept."""
    return document.public_bytes(serialization.Encoding.PEM)


def make_folder(path: Path) -> None:
    """A folder for its owner alone; one that is there must be that.  Raises :class:`AuthorityError`."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if path.stat().st_mode & 0o077:
            raise AuthorityError(
                "open-folder", f"{path}: other users may open this folder; run chmod 700 on it or choose another"
            )
    except OSError as error:
        raise AuthorityError("cannot-make", f"{path}: cannot be made ({error.strerror})") from None


def write_new(path: Path, content: bytes) -> None:
    """A file of mode 0600 that was not there before.  Raises :class:`AuthorityError`."""
    write_file(path, content, AuthorityError)


def replace(path: Path, content: bytes) -> None:
    """Put a new file in the place of the old one, whole or not at all; for what is public, never for a key."""
    try:
        write_whole(path, content, private=True, durable=True)
    except OSError as error:
        raise AuthorityError("cannot-write", f"{path}: cannot be written ({error.strerror})") from None


def now() -> datetime.datetime:
    """The time, with its zone."""
    return datetime.datetime.now(datetime.UTC)
