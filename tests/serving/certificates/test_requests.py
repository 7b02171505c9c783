"""Parties that make their own keys: what an authority signs, what a party installs, and what both refuse."""

from __future__ import annotations

import contextlib
import datetime
import shutil
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sotto.link import LinkError
from sotto.serving.certificates import authority, key_files, requests
from sotto.serving.certificates.key_files import AuthorityError
from sotto.serving.certificates.keys import client_tls, server_tls
from tests.error_codes import raises_code
from tests.serving.parties import ask, dealing_pair, session

PEM = serialization.Encoding.PEM


@pytest.fixture
def ca(tmp_path):
    """An authority that has made no party's key."""
    authority.found(tmp_path / "ca")
    return tmp_path / "ca"


def party(folder, ca, name, role):
    """A party's own folder, with a key that never was anywhere else."""
    asked = requests.make(folder / name, name, role)
    authority.sign(ca, requests.read(asked.path), role)
    requests.install(requests.given(ca / name), folder / name)
    return folder / name


def test_parties_with_keys_of_their_own_are_served_and_no_key_was_anywhere_else(tmp_path, ca):
    keys = tmp_path / "own"
    for name, role in (("alice", "alice"), ("bob", "bob"), ("dealer", "dealer")):
        party(keys, ca, name, role)
    secret = {path.parent.name for path in tmp_path.rglob("*key*") if b"PRIVATE" in path.read_bytes()}
    assert secret == {"alice", "bob", "dealer", "authority"}
    assert [path.name for path in ca.rglob("*") if path.is_file() and b"PRIVATE" in path.read_bytes()] == [
        "authority.key"
    ]
    for path in keys.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    with dealing_pair(keys) as (_, dealer_at, _, bob_at):
        with session(bob_at, dealer=dealer_at, keys=keys / "alice", bob_name="bob") as links:
            assert ask(links, b"a") == b"a dealt to ['alice', 'bob']"
        other = tmp_path / "strangers"
        authority.found(other)
        stranger = party(tmp_path / "strange", other, "bob", "bob")
        with pytest.raises(LinkError), session(bob_at, dealer=dealer_at, keys=stranger):
            pass


def test_a_request_holds_what_was_asked_for_and_no_secret(tmp_path):
    asked = requests.make(tmp_path / "p", "clinic-7", "alice")
    assert (asked.name, asked.role) == ("clinic-7", "alice")
    assert b"PRIVATE" not in asked.path.read_bytes()
    key = key_files.read_key(tmp_path / "p" / "key.pem")
    assert asked.fingerprint == key_files.fingerprint_of(key.public_key())
    assert "public" not in repr(asked)


def test_the_authority_grants_the_role_that_it_names_and_no_other(tmp_path, ca):
    asked = requests.make(tmp_path / "p", "mallory", "dealer")
    with raises_code(AuthorityError, "wrong-role", match="asks for the role dealer, not alice"):
        authority.sign(ca, asked, "alice")
    assert not (ca / "mallory").exists()


def test_a_name_has_one_key_and_one_role(tmp_path, ca):
    party(tmp_path, ca, "bob", "bob")
    for folder, role in (("q", "bob"), ("r", "dealer")):
        asked = requests.make(tmp_path / folder, "bob", role)
        with raises_code(AuthorityError, "name-taken"):
            authority.sign(ca, asked, role)
    authority.issue(ca, "made-here", "alice")
    with raises_code(AuthorityError, "name-taken"):
        authority.sign(ca, requests.make(tmp_path / "s", "made-here", "alice"), "alice")


def test_renewal_keeps_the_key_and_goes_the_same_way(tmp_path, ca):
    own = party(tmp_path, ca, "bob", "bob")
    key, before = (own / "key.pem").read_bytes(), key_files.show(own)
    asked = requests.make(own, "bob", "bob")
    authority.sign(ca, asked, "bob", days=500)
    after = requests.install(requests.given(ca / "bob"), own)
    assert after.ends > before.ends
    assert (own / "key.pem").read_bytes() == key
    authority.renew(ca, "bob", days=700)  # the authority may do so unasked: it holds the public key
    assert requests.install(requests.given(ca / "bob"), own).ends > after.ends
    assert server_tls(own) is not None


@pytest.mark.parametrize("name", ["", "authority", "../bob", "Bob", "a" * 64, "bob\n"])
def test_names_that_are_none_are_not_signed(tmp_path, ca, name):
    with raises_code(AuthorityError, ("bad-name", "reserved-name")):
        authority.sign(ca, requests.make(tmp_path / "p", name, "alice"), "alice")
    assert [path.name for path in ca.iterdir()] == ["authority"]


def test_a_folder_belongs_to_one_party(tmp_path, ca):
    own = party(tmp_path, ca, "bob", "bob")
    for name, role in (("bob", "dealer"), ("bob-2", "bob")):
        with raises_code(AuthorityError, "wrong-folder", match="belongs to bob 'bob'"):
            requests.make(own, name, role)
    (own / "key.pem").unlink()
    with raises_code(AuthorityError, "key-missing", match=r"key\.pem: is missing"):
        requests.make(own, "bob", "bob")


@pytest.mark.parametrize(
    "there", ["another's key", "another role", "another authority's", "not the authority beside it"]
)
def test_what_does_not_fit_is_not_installed(tmp_path, ca, there):
    own = tmp_path / "own"
    asked = requests.make(own, "bob", "bob")
    if there == "another's key":
        authority.sign(ca, requests.make(tmp_path / "p", "bob", "bob"), "bob")
    elif there == "another role":
        authority.sign(ca, requests.make(tmp_path / "p", "bob", "alice"), "alice")
    else:
        authority.sign(ca, asked, "bob")
        requests.install(requests.given(ca / "bob"), own)
        other = tmp_path / "other"
        authority.found(other)
        authority.sign(other, asked, "bob")
        if there == "another authority's":
            ca = other
        else:  # the party trusts this one, and the certificate is another's
            shutil.copy(other / "bob" / "certificate.pem", ca / "bob" / "certificate.pem")
    before = {path.name: path.read_bytes() for path in own.iterdir()}
    with raises_code(AuthorityError, ("not-issued-here", "other-authority", "other-key", "wrong-request")):
        requests.install(requests.given(ca / "bob"), own)
    assert {path.name: path.read_bytes() for path in own.iterdir()} == before


def test_what_was_read_and_confirmed_is_installed_though_the_folder_changes(tmp_path, ca):
    """Whoever can write into the folder must not swap the authority between the question and the installation."""
    asked = requests.make(tmp_path / "own", "bob", "bob")
    authority.found(tmp_path / "other")
    authority.sign(ca, asked, "bob")
    authority.sign(tmp_path / "other", asked, "bob")
    given = requests.given(ca / "bob")
    for name in ("authority.pem", "certificate.pem"):
        shutil.copy(tmp_path / "other" / "bob" / name, ca / "bob" / name)
    requests.install(given, tmp_path / "own")
    assert requests.trusted_in(tmp_path / "own") == given.fingerprint == authority.fingerprint(ca)
    with raises_code(AuthorityError, "other-authority"):
        requests.install(requests.given(ca / "bob"), tmp_path / "own")


def test_a_certificate_that_is_over_is_not_installed(tmp_path, ca, monkeypatch):
    asked = requests.make(tmp_path / "own", "bob", "bob")
    long_ago = key_files.now() - datetime.timedelta(days=30)
    with monkeypatch.context() as patched:
        patched.setattr(key_files, "now", lambda: long_ago)
        authority.sign(ca, asked, "bob", days=1)
    with raises_code(AuthorityError, "not-valid-now"):
        requests.install(requests.given(ca / "bob"), tmp_path / "own")


def test_nothing_is_installed_where_nothing_was_asked_for(tmp_path, ca):
    party(tmp_path, ca, "bob", "bob")
    with raises_code(AuthorityError, "no-request"):
        requests.install(requests.given(ca / "bob"), tmp_path / "empty")


def test_a_party_cannot_sign_for_others(tmp_path, ca):
    """A party's certificate is no authority's, to TLS and to an installation."""
    own = party(tmp_path, ca, "bob", "bob")
    rogue = tmp_path / "rogue"
    (rogue / "authority").mkdir(parents=True, mode=0o700)
    shutil.copy(own / "key.pem", rogue / "authority" / "authority.key")
    shutil.copy(own / "certificate.pem", rogue / "authority" / "authority.pem")
    with raises_code(AuthorityError, "key-mismatch"):
        authority.sign(rogue, requests.make(tmp_path / "p", "alice", "alice"), "alice")


def _csr(key, *, names=("bob",), uris=("sotto:role/bob",), more=(), signer=None):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    for extension in more:
        builder = builder.add_extension(extension, critical=True)
    return builder.sign(signer or key, hashes.SHA256())


CURVE = ec.SECP256R1()
ASKED_TOO_MUCH = {
    "two roles": {"uris": ("sotto:role/bob", "sotto:role/dealer")},
    "a role and a host": {"uris": ("sotto:role/bob", "https://bob.example")},
    "no role": {"uris": ()},
    "a role that is none": {"uris": ("sotto:role/carol",)},
    "two names": {"names": ("bob", "dealer")},
    "a name that is none": {"names": ("../bob",)},
    "to be an authority": {"more": (x509.BasicConstraints(ca=True, path_length=None),)},
    "other uses": {"more": (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]),)},
}


@pytest.mark.parametrize("what", ASKED_TOO_MUCH)
def test_a_request_for_anything_but_one_name_and_one_role_is_refused(tmp_path, what):
    path = tmp_path / "request.pem"
    path.write_bytes(_csr(ec.generate_private_key(CURVE), **ASKED_TOO_MUCH[what]).public_bytes(PEM))
    with raises_code(AuthorityError, ("bad-names", "not-a-request")):
        requests.read(path)


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)], ids=["p384", "rsa"]
)
def test_a_key_of_another_kind_is_refused(tmp_path, key):
    path = tmp_path / "request.pem"
    path.write_bytes(_csr(key).public_bytes(PEM))
    with raises_code(AuthorityError, "wrong-curve"):
        requests.read(path)


def test_a_request_for_somebody_elses_key_is_refused(tmp_path):
    """Proof of possession: Mallory asks for a certificate of Bob's public key, and cannot sign with it."""
    bob, mallory = ec.generate_private_key(CURVE), ec.generate_private_key(CURVE)
    points = [
        key.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        for key in (mallory, bob)
    ]
    forged = _csr(mallory).public_bytes(serialization.Encoding.DER).replace(*points)
    path = tmp_path / "request.pem"
    path.write_bytes(x509.load_der_x509_csr(forged).public_bytes(PEM))
    with raises_code(AuthorityError, "bad-signature"):
        requests.read(path)


def test_a_request_that_is_too_large_is_not_read(tmp_path):
    path = tmp_path / "request.pem"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    with raises_code(AuthorityError, "wrong-file", match="is no file that 'sotto keys' made"):
        requests.read(path)


def _pem(content):
    text = ssl.DER_cert_to_PEM_cert(content)
    return text.replace("CERTIFICATE", "CERTIFICATE REQUEST").encode()


@pytest.fixture(scope="module")
def signed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signed")
    asked = requests.make(folder / "own", "bob", "bob")
    return folder / "changed.pem", x509.load_pem_x509_csr(asked.path.read_bytes()).public_bytes(
        serialization.Encoding.DER
    )


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 16), st.integers(1, 255))
@example(8, 1)  # the version
@example(31, 1)  # the kind of key
@example(176, 1)  # unused bits of the signature's bit string: another encoding of the same signature
def test_a_request_that_was_changed_anywhere_is_refused_or_reads_the_same(signed, place, change):
    path, content = signed
    changed = bytearray(content)
    changed[place % len(content)] ^= change
    path.write_bytes(_pem(content))
    signed_for = requests.read(path)
    path.write_bytes(_pem(bytes(changed)))
    with contextlib.suppress(AuthorityError):
        assert requests.read(path) == signed_for  # a signature has more than one encoding; what it signs has one


def test_the_keys_of_a_party_are_those_that_tls_takes(tmp_path, ca):
    own = party(tmp_path, ca, "alice", "alice")
    assert client_tls(own) is not None
    shutil.copy(party(tmp_path, ca, "bob", "bob") / "certificate.pem", own / "certificate.pem")
    with pytest.raises(LinkError):
        client_tls(own)
