"""Who may connect to whom, and TLS 1.3 with certificates on both sides."""

from __future__ import annotations

import datetime
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sotto.link import LinkError, LinkTimeout, client_context, connect, listen, server_context
from tests.error_codes import raises_code


def test_without_tls_only_this_machine_is_reached():
    with raises_code(LinkError, "tls-needed"):
        listen("0.0.0.0")  # noqa: S104
    with raises_code(LinkError, "tls-needed"):
        connect("192.0.2.1", 7000)


def test_nobody_listening_is_one_clear_line():
    with listen() as listener:
        port = listener.address[1]
    with raises_code(LinkTimeout, "nobody-listens"):
        connect("127.0.0.1", port, timeout=0.2)


def test_nobody_connecting_is_one_clear_line():
    with listen() as listener, raises_code(LinkTimeout, "nobody-connected"):
        listener.accept(timeout=0.1)


def _certificate(folder, name, issuer=None):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    issuer_name, issuer_key = issuer or (subject, key)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, issuer is None, issuer is None, False, False), critical=True
        )
        .sign(issuer_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").touch(mode=0o600)
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return subject, key


@pytest.fixture
def certificates(tmp_path):
    authority = _certificate(tmp_path, "authority")
    for party in ("alice", "bob"):
        _certificate(tmp_path, party, authority)
    _certificate(tmp_path, "mallory")  # signed by nobody the others trust
    return tmp_path


def _files(folder, name):
    return folder / f"{name}.pem", folder / f"{name}.key", folder / "authority.pem"


def _converse(folder, client_name):
    outcome: list[object] = []

    def bob() -> None:
        try:
            with listener.accept(timeout=10) as link:
                outcome.append(bytes(link.exchange("open", b"b" * 3_000_000, limit=3_000_000)))
        except LinkError as error:
            outcome.append(error)

    with listen(tls=server_context(*_files(folder, "bob"))) as listener:
        thread = threading.Thread(target=bob)
        thread.start()
        try:
            context = client_context(*_files(folder, client_name))
            with connect("127.0.0.1", listener.address[1], tls=context, server_name="localhost", timeout=10) as link:
                outcome.append(bytes(link.exchange("open", b"a" * 3_000_000, limit=3_000_000)))
        except LinkError as error:
            outcome.append(error)
        thread.join()
    return outcome


def test_both_sides_prove_who_they_are_and_large_messages_cross(certificates):
    assert sorted(_converse(certificates, "alice")) == [b"a" * 3_000_000, b"b" * 3_000_000]


def test_a_certificate_of_another_authority_is_refused(certificates):
    outcome = _converse(certificates, "mallory")
    assert len(outcome) == 2
    assert all(isinstance(part, LinkError) for part in outcome)


def test_a_missing_certificate_file_is_one_clear_line(tmp_path):
    with raises_code(LinkError, "bad-certificate"):
        server_context(*_files(tmp_path, "bob"))


def test_a_key_that_others_can_read_is_refused(certificates):
    (certificates / "bob.key").chmod(0o644)
    with raises_code(LinkError, "key-readable"):
        server_context(*_files(certificates, "bob"))
