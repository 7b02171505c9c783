"""The authority's files, and what services do with certificates: TLS 1.3, one role each, none of another authority."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
from functools import partial

import pytest

from sotto.link import CertificateRefused, LinkClosed, LinkError, PeerError, client_context, connect
from sotto.serving.certificates import authority, key_files
from sotto.serving.certificates.key_files import AuthorityError
from sotto.serving.certificates.keys import client_tls, server_tls
from sotto.serving.handshake import HELLO, new_session
from sotto.serving.service.reports import TurnedAway
from tests.error_codes import raises_code
from tests.serving.parties import Echo, EchoDealer, ask, dealing_pair, hello, host, report_of, session


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("private") / "keys"
    authority.create(folder)
    authority.issue(folder, "clinic-7", "alice")
    return folder


@pytest.fixture(scope="module")
def services(keys):
    with dealing_pair(keys, wait_seconds=5.0, denied=frozenset({"clinic-7"})) as running:
        yield running


def test_keys_are_for_their_owner_alone_and_never_overwritten(keys):
    assert keys.stat().st_mode & 0o777 == 0o700
    for path in keys.rglob("*"):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    for again in (lambda: authority.create(keys), lambda: authority.issue(keys, "bob", "bob")):
        before = {path: path.read_bytes() for path in keys.rglob("*.*") if path.is_file()}
        with raises_code(AuthorityError, "exists"):
            again()
        assert {path: path.read_bytes() for path in before} == before
    assert [(each.name, each.role) for each in authority.show_all(keys)] == [
        ("alice", "alice"), ("bob", "bob"), ("clinic-7", "alice"), ("dealer", "dealer"),
    ]  # fmt: skip


def test_a_renewed_certificate_keeps_name_role_and_key(keys):
    key = (keys / "alice" / "key.pem").read_bytes()
    before = key_files.show(keys / "alice")
    after = authority.renew(keys, "alice", days=500)
    assert (after.name, after.role) == ("alice", "alice")
    assert after.ends > before.ends
    assert (keys / "alice" / "key.pem").read_bytes() == key


def test_a_certificate_of_another_authority_is_not_renewed(keys, tmp_path):
    authority.create(tmp_path / "keys")
    authority.create(tmp_path / "strangers")
    authority.issue(tmp_path / "strangers", "mallory", "bob")
    path = tmp_path / "keys" / "alice" / "certificate.pem"
    path.write_bytes((tmp_path / "strangers" / "mallory" / "certificate.pem").read_bytes())
    with raises_code(AuthorityError, "not-issued-here"):
        authority.renew(tmp_path / "keys", "alice")


def test_an_authority_is_made_whole_or_not_at_all(tmp_path):
    (tmp_path / "bob").mkdir()
    with raises_code(AuthorityError, "exists", match=r"bob: is there already"):
        authority.create(tmp_path)
    assert not (tmp_path / "authority").exists()


def test_the_dealer_counts_the_sessions_of_alice_too(keys):
    authority.issue(keys, "second", "bob")
    dealer = host(EchoDealer, role="dealer", keys=keys / "dealer", per_client=1, wait_seconds=0.5)
    with dealer as (_, address), contextlib.ExitStack() as stack:
        first, second = (_pair(keys, address, bob, stack) for bob in ("bob", "second"))
        for link in first:
            link.receive("session.welcome", limit=100)
        for link in second:
            with raises_code(PeerError, "peer-gave-up", match="did not come"):
                link.receive("session.welcome", limit=100)


def _pair(keys, address, bob, stack):
    """Links of an Alice and a Bob to the dealer who ask for one session."""
    name, links = new_session(), []
    for party, role, peer in ((bob, "bob", "alice"), ("alice", "alice", bob)):
        tls = client_tls(keys / party)
        link = stack.enter_context(connect(*address, timeout=20, tls=tls, server_name="dealer", role="dealer"))
        link.send(HELLO, hello(role=role, mode="plain", peer=peer, session=name))
        links.append(link)
    return links


@pytest.mark.parametrize("name", ["", "authority", "../bob", "Bob", "a" * 64, "bob\n"])
def test_names_that_are_none_are_refused(keys, name):
    with raises_code(AuthorityError, ("bad-name", "reserved-name")):
        authority.issue(keys, name, "alice")


def test_a_damaged_authority_is_one_line(keys, tmp_path):
    with raises_code(AuthorityError, "no-authority"):
        authority.issue(tmp_path, "bob", "bob")
    authority.create(tmp_path / "other")
    (tmp_path / "other" / "authority" / "authority.key").chmod(0o644)
    with raises_code(AuthorityError, "key-readable"):
        authority.issue(tmp_path / "other", "more", "alice")


def test_parties_with_their_own_certificates_are_served(keys, services):
    _, dealer_at, _, bob_at = services
    with session(bob_at, dealer=dealer_at, keys=keys / "alice") as links:
        assert str(links.bob.identity) == "bob"
        assert ask(links, b"a") == b"a dealt to ['alice', 'bob']"
        assert links.bob._sock.version() == "TLSv1.3"


@pytest.mark.parametrize(
    ("who", "kind", "code", "line"),
    [
        ("bob", PeerError, "peer-gave-up", "cannot act as alice"),
        ("dealer", CertificateRefused, "certificate-refused", "another role"),
        ("clinic-7", PeerError, "peer-gave-up", "not served here any more"),
    ],
)
def test_no_role_can_act_as_another_and_who_is_denied_is_not_served(keys, services, who, kind, code, line):
    with raises_code(kind, code, match=line), session(services[3], keys=keys / who):
        pass


def test_alice_takes_no_dealer_for_bob_and_no_bob_of_another_name(keys, services):
    _, dealer_at, _, bob_at = services
    with (
        raises_code(LinkError, "wrong-role", match="is no bob: the certificate is that of dealer"),
        _asked(dealer_at, keys),
    ):
        pass
    with (
        raises_code(LinkError, "wrong-address", match="is bob 'bob', not 'bob-2'"),
        _asked(bob_at, keys, bob_name="bob-2"),
    ):
        pass


def test_who_names_the_dealer_takes_no_other_one(keys, services):
    """Neither Alice, whom Bob could otherwise send to a dealer of his own, nor Bob."""
    _, dealer_at, _, bob_at = services
    with session(bob_at, dealer=dealer_at, keys=keys / "alice", dealer_name="dealer") as links:
        assert ask(links, b"a") == b"a dealt to ['alice', 'bob']"
    line = "is dealer 'dealer', not 'dealer-2'"
    with raises_code(LinkError, "wrong-address"), _asked(bob_at, keys, dealer=dealer_at, dealer_name="dealer-2"):
        pass
    choosy = host(partial(Echo, True), dealer=dealer_at, keys=keys / "bob", dealer_name="dealer-2")
    with choosy as (_, at), raises_code(LinkError, "peer-gave-up", match=line), _asked(at, keys, dealer=dealer_at):
        pass


def _asked(address, keys, **changes):
    return session(address, keys=keys / "alice", **changes)


def test_without_a_certificate_or_with_a_strangers_nobody_gets_in(keys, services, tmp_path):
    _, _, bob, bob_at = services
    with raises_code(LinkClosed, "peer-closed"), session(bob_at):
        pass
    report_of(bob, TurnedAway, lambda refused: "does not speak TLS" in refused.reason)
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    bare.check_hostname, bare.verify_mode = False, ssl.CERT_NONE
    with connect(*bob_at, timeout=10, tls=bare) as link, pytest.raises(LinkError):
        link.exchange(HELLO, hello(), limit=10)
    report_of(bob, TurnedAway, lambda refused: "has no certificate" in refused.reason)
    authority.create(tmp_path / "strangers")
    with raises_code(LinkError, "tls-failed", match="TLS with bob failed"), _asked(bob_at, tmp_path / "strangers"):
        pass


def test_old_tls_is_refused(keys, services):
    context = client_context(*(keys / "alice" / name for name in ("certificate.pem", "key.pem", "authority.pem")))
    context.check_hostname = False
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with socket.create_connection(services[3], timeout=10) as sock, pytest.raises(ssl.SSLError):
        context.wrap_socket(sock)


def test_a_certificate_that_is_over_is_refused_on_both_sides(keys, services, monkeypatch):
    long_ago = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)
    monkeypatch.setattr(key_files, "now", lambda: long_ago)
    authority.issue(keys, "late", "alice", days=1)
    with (
        raises_code(CertificateRefused, "certificate-refused", match="expired"),
        session(services[3], keys=keys / "late"),
    ):
        pass
    report_of(services[2], TurnedAway, lambda refused: "expired" in refused.reason)


def test_a_party_says_itself_whom_it_expects_at_the_dealer(keys, services):
    """A certificate of the same authority is not enough to sit in another party's session."""
    _, dealer_at, _, _ = services
    name = b"s" * 16
    with (
        connect(*dealer_at, tls=client_tls(keys / "alice"), role="dealer", timeout=10) as alice,
        connect(*dealer_at, tls=client_tls(keys / "bob"), role="dealer", timeout=10) as bob,
    ):
        alice.send(HELLO, hello(mode="plain", session=name, peer="bob-2"))
        bob.send(HELLO, hello(role="bob", mode="plain", session=name, peer="alice"))
        with raises_code(PeerError, "peer-gave-up", match="bob did not come"):
            alice.receive("session.welcome", limit=100)


def test_keys_others_can_read_are_not_used(keys, tmp_path):
    authority.create(tmp_path / "keys")
    (tmp_path / "keys" / "bob" / "key.pem").chmod(0o640)
    with raises_code(LinkError, "key-readable"):
        server_tls(tmp_path / "keys" / "bob")
    assert server_tls(None) is None
