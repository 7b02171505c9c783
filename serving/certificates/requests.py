"""A party's own key: it makes the key where it will use it, asks an authority for a certificate, installs the answer.

    party       DIR/key.pem, DIR/request.pem          :func:`make`; the key never leaves DIR
    authority   checks the request and signs          :func:`sotto.serving.certificates.authority.sign`
    party       DIR/certificate.pem, authority.pem    :func:`install`

A request is signed with its key (PKCS #10), which proves to the authority that whoever made it holds the key.  It does
not prove who that is: the two compare the key's fingerprint over a channel that they trust, and the authority's at the
first installation.  From then on the folder takes certificates of that authority alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sotto.link import Role
from sotto.link.identity import ROLE_URI
from sotto.serving.certificates import key_files
from sotto.serving.certificates.key_files import MALFORMED, AuthorityError, Shown
from sotto.serving.certificates.keys import AUTHORITY, CERTIFICATE, KEY, REQUEST


@dataclass(frozen=True)
class Requested:
    """What a party asks for.  ``fingerprint``: SHA-256 of its public key, 64 hexadecimal digits."""

    name: str
    role: Role
    fingerprint: str
    path: Path
    public: ec.EllipticCurvePublicKey = field(repr=False)


def make(folder: Path, name: str, role: Role) -> Requested:
    """A key and a request in ``folder``; a key that is there is used again, for a renewal.

    Raises :class:`AuthorityError`, when the folder is another party's for instance.
    """
    key_files.require_party(name, role)
    key_files.make_folder(folder)
    path, known = folder / KEY, expected_in(folder)
    if known and known != (name, role):
        raise AuthorityError("wrong-folder", f"{folder}: belongs to {known[1]} '{known[0]}'; choose another folder")
    if known and not path.exists():
        raise AuthorityError("key-missing", f"{path}: is missing; choose another folder for a new key")
    if not path.exists():
        key_files.write_new(path, key_files.pem(ec.generate_private_key(ec.SECP256R1())))
    key = key_files.read_key(path)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"{ROLE_URI}{role}")]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    key_files.replace(folder / REQUEST, key_files.pem_of(request))
    return read(folder / REQUEST)


def read(path: Path) -> Requested:
    """A request whose signature its own key made, for one name and one role.  Raises :class:`AuthorityError`."""
    content = key_files.read(path)
    complaint = f"{path}: is no request of 'sotto keys request'"
    try:
        request = x509.load_pem_x509_csr(content)
        extensions, sound = request.extensions, request.is_signature_valid
    except MALFORMED:
        raise AuthorityError("not-a-request", complaint) from None
    if not sound:
        raise AuthorityError("bad-signature", f"{path}: is not signed with the key it names; make it again")
    if len(extensions) != 1 or len(list(request.subject)) != 1:  # nothing is granted that was not read
        raise AuthorityError("not-a-request", complaint)
    name, role = key_files.names_of(request, complaint)
    alternative = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    if len(list(alternative)) != 1:
        raise AuthorityError("not-a-request", complaint)
    public = key_files.public_key_of(request, path)
    return Requested(name, role, key_files.fingerprint_of(public), path, public)


@dataclass(frozen=True)
class Given:
    """What a folder from an authority holds, read once: what is confirmed and checked is what is installed.

    ``fingerprint``: of the authority's public key, as in :class:`Requested`.
    """

    source: Path
    shown: Shown
    fingerprint: str
    certificate: x509.Certificate = field(repr=False)
    authority: x509.Certificate = field(repr=False)


def given(source: Path) -> Given:
    """Read a folder that an authority sent back.  Raises :class:`AuthorityError`."""
    certificate = key_files.read_certificate(source / CERTIFICATE)
    authority = key_files.read_certificate(source / AUTHORITY)
    fingerprint = key_files.fingerprint_of(key_files.public_key_of(authority, source / AUTHORITY))
    return Given(source, key_files.shown(certificate, source / CERTIFICATE), fingerprint, certificate, authority)


def trusted_in(folder: Path) -> str | None:
    """Fingerprint of the key of the authority that a party's folder trusts already."""
    path = folder / AUTHORITY
    if not path.exists():
        return None
    return key_files.fingerprint_of(key_files.public_key_of(key_files.read_certificate(path), path))


def install(given: Given, folder: Path) -> Shown:
    """Take the certificate and the authority of :func:`given` over into ``folder``, which holds the key.

    Nothing is written unless all fits: the certificate belongs to the key, has the name and role that were asked for,
    is valid now and issued by that authority, and the authority is the one that the folder trusts, where it trusts one.
    Raises :class:`AuthorityError`.
    """
    source, shown, certificate, authority = given.source, given.shown, given.certificate, given.authority
    wanted = expected_in(folder)
    if wanted is None:
        raise AuthorityError(
            "no-request", f"{folder}: nothing was asked for here; 'sotto keys request' makes a key and a request"
        )
    if (shown.name, shown.role) != wanted:
        raise AuthorityError(
            "wrong-request",
            f"{shown.path}: is for {shown.role} '{shown.name}', {wanted[1]} '{wanted[0]}' was asked for: ask again",
        )
    if key_files.public_key_of(certificate, shown.path) != key_files.read_key(folder / KEY).public_key():
        raise AuthorityError(
            "other-key", f"{shown.path}: belongs to another key than {folder / KEY}: somebody changed the request"
        )
    if trusted_in(folder) not in (None, given.fingerprint):
        raise AuthorityError(
            "other-authority",
            f"{source / AUTHORITY}: is another authority than {folder / AUTHORITY}, which this party trusts; "
            "to change it, make a request in a new folder",
        )
    if not key_files.is_issued_by(certificate, authority):
        raise AuthorityError("not-issued-here", f"{source}: the certificate was not issued by the authority beside it")
    if not shown.begins <= key_files.now() < shown.ends:
        raise AuthorityError(
            "not-valid-now", f"{shown.path}: is valid from {shown.begins:%Y-%m-%d} to {shown.ends:%Y-%m-%d}, not now"
        )
    key_files.replace(folder / AUTHORITY, key_files.pem_of(authority))
    key_files.replace(folder / CERTIFICATE, key_files.pem_of(certificate))
    return key_files.show(folder)


def expected_in(folder: Path) -> tuple[str, Role] | None:
    """Name and role of the party whose folder this is, by its certificate or else its request."""
    if (folder / CERTIFICATE).exists():
        shown = key_files.show(folder)
        return shown.name, shown.role
    if (folder / REQUEST).exists():
        requested = read(folder / REQUEST)
        return requested.name, requested.role
    return None
