"""Settings of Bob, Alice and the dealer: flags, environment, file; and wrong usage, told before anything is loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from sotto import cli
from sotto.commands.parties import alice as alice_command
from sotto.commands.parties import service
from sotto.link import LinkTimeout, connect

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "services"


@pytest.fixture
def started(monkeypatch):
    """What a service would have been started with."""
    caught = []

    def catch(orders, address, *, health, log_format):
        caught.append((orders, address, health, log_format))

    monkeypatch.setattr(service, "run_service", catch)
    return caught


def invoke(*arguments, answer=None, **environment):
    environment = {"COLUMNS": "400", "TERMINAL_WIDTH": "400", **environment}
    return CliRunner().invoke(cli.app, [str(each) for each in arguments], input=answer, env=environment)


def sotto(*arguments, **settings):
    done = invoke(*arguments, **settings)
    return done.exit_code, " ".join(re.sub(r"[│╭╮╰╯─]", " ", done.output).split())


def test_a_flag_wins_over_the_environment_and_that_over_the_file(started, tmp_path):
    (tmp_path / "s.toml").write_text(
        '[bob]\nmodel = "m"\nparadigm = "keyed"\nmax_sessions = 3\nmax_waiting = 5\nsession_mb = 100\n[alice]\n'
    )
    config = ["--config", tmp_path / "s.toml"]
    code, said = sotto("bob", *config, "--max-sessions", "7", SOTTO_BOB_MAX_SESSIONS="6", SOTTO_BOB_MAX_WAITING="4")
    assert code == 0, said
    orders, address, health, log_format = started[0]
    assert (orders.limits.sessions, orders.limits.waiting, orders.limits.session_mb) == (7, 4, 100)
    assert orders.limits.per_client == 4  # its default
    assert orders.load.args[0].model == tmp_path / "m"
    assert (address, health, log_format) == (("127.0.0.1", 7100), None, "text")


def test_the_example_settings_are_settings(started, monkeypatch):
    code, said = sotto("bob", "--config", EXAMPLES / "sotto.toml")
    assert code == 0, said
    assert sotto("dealer", "--config", EXAMPLES / "sotto.toml")[0] == 0
    (bob, bob_at, *_), (dealer, dealer_at, *_) = started
    assert bob_at == ("0.0.0.0", 7100)  # noqa: S104
    assert bob.dealer == ("dealer.example", 7200)
    assert bob.keys == EXAMPLES / "keys" / "bob"
    assert dealer_at == ("0.0.0.0", 7200)  # noqa: S104
    assert dealer.load.args[0] == ("malicious",)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("[bob]\nmodle = 'm'\n", "no setting 'modle'"),
        ("[bob\n", "is no TOML file"),
        ("[carol]\n", "[alice], [bob], [dealer] and nothing else"),
        ("[bob]\nmodel='m'\nmax_sessions='many'\n", "valid integer"),
    ],
)
def test_a_slip_in_a_file_is_told(started, tmp_path, content, line):
    (tmp_path / "s.toml").write_text(content)
    code, said = sotto("bob", "--config", tmp_path / "s.toml")
    assert code == 2
    assert line in said
    assert not started


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["bob", "m", "--paradigm", "keyed", "--listen", "0.0.0.0:7100"], "sotto keys init"),
        (["bob", "m", "--paradigm", "keyed", "--listen", "7100"], "no HOST:PORT"),
        (["bob", "m", "--paradigm", "mpc"], "needs a dealer"),
        (["bob", "m", "--paradigm", "keyed", "--dealer", "127.0.0.1:7200"], "has no dealer"),
        (["bob", "m", "--paradigm", "mpc", "--dealer", "dealer.example:7200"], "sotto keys init"),
        (["bob", "m", "--paradigm", "he", "--mode", "malicious"], "has modes packed"),
        (["bob", "m", "--paradigm", "runes"], "a paradigm is one of"),
        (["bob", "m", "--paradigm", "keyed", "--deny", "Mallory"], "is no name in a certificate"),
        (["bob", "m", "--dealer", "127.0.0.1:7200", "--dealer-name", "d"], "only certificates have names"),
        (
            ["bob", "m", "--dealer", "127.0.0.1:7200", "--dealer-name", "D", "--keys", "k"],
            "is no name in a certificate",
        ),
        (["dealer", "--listen", "192.0.2.1:7200"], "sotto keys init"),
        (["dealer", "--mode", "honest"], "a mode is one of"),
        (["alice", "/no/such.wav"], "there is no file"),
        (["keys", "issue", "x", "--role", "carol"], "a role is one of"),
        (["prepare", "runes"], "a paradigm is one of"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_loaded(started, arguments, line):
    code, said = sotto(*arguments)
    assert code == 2
    assert line in said
    assert not started


@pytest.mark.parametrize("chosen", [[], ["--paradigm", "hashing"]])
def test_a_folder_of_another_paradigm_is_told_before_anything_is_loaded(started, tmp_path, chosen):
    (tmp_path / "bob.toml").write_text('[bob]\nmodel = "."\nparadigm = "he"\n')
    code, said = sotto("bob", tmp_path, *chosen)
    assert code == 2
    assert "was prepared for he" in said
    assert not started
    assert sotto("bob", tmp_path, "--paradigm", "he")[0] == 0


@pytest.mark.parametrize(
    "command",
    [
        "prepare",
        "bob",
        "alice",
        "dealer",
        "keys init",
        "keys request",
        "keys sign",
        "keys install",
        "keys issue",
        "keys renew",
        "keys show",
    ],
)
def test_every_command_has_help_with_an_example(command):
    code, said = sotto(*command.split(), "--help")
    assert code == 0
    assert "Example:" in said


def test_a_token_that_others_can_read_is_not_used(started, tmp_path):
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o644)
    arguments = ["bob", "m", "--paradigm", "keyed", "--token-file", token]
    assert "chmod 600" in sotto(*arguments)[1]
    token.chmod(0o600)
    assert sotto(*arguments)[0] == 0
    assert started[0][0].token == b"0123456789abcdef"
    assert "0123456789abcdef" not in repr(started[0][0])


def test_keys_are_made_shown_issued_and_renewed(tmp_path):
    folder = tmp_path / "keys"
    assert sotto("keys", "init", folder)[0] == 0
    assert sotto("keys", "issue", "clinic-7", "--role", "alice", "--dir", folder)[0] == 0
    assert sotto("keys", "renew", "clinic-7", "--dir", folder, "--days", "30")[0] == 0
    code, said = sotto("keys", "show", folder, "--json")
    assert code == 0
    shown = {each["name"]: each for each in json.loads(said)}
    assert {name: each["role"] for name, each in shown.items()} == {
        "alice": "alice", "bob": "bob", "dealer": "dealer", "clinic-7": "alice",
    }  # fmt: skip
    assert shown["clinic-7"]["days_left"] == 29


def test_a_party_makes_its_own_key_and_the_authority_never_has_it(tmp_path):
    ca, own = tmp_path / "ca", tmp_path / "own"
    authority = json.loads(invoke("keys", "init", ca, "--authority-only", "--json").stdout)["key_sha256"]
    asked = json.loads(invoke("keys", "request", "clinic-7", "--role", "alice", "--out", own, "--json").stdout)
    arguments = ("keys", "sign", own / "request.pem", "--ca", ca, "--role")
    assert sotto(*arguments, "dealer", "--fingerprint", asked["key_sha256"])[0] == 1
    assert sotto(*arguments, "alice", "--fingerprint", "0" * 64)[0] == 1
    assert sotto(*arguments, "alice", answer="n\n")[0] == 1
    assert not (ca / "clinic-7").exists()
    code, said = sotto(*arguments, "alice", answer="y\n")
    assert code == 0
    assert asked["key_sha256"] in said
    assert sotto("keys", "install", ca / "clinic-7", "--into", own, "--fingerprint", "0" * 64)[0] == 1
    assert not (own / "certificate.pem").exists()
    assert sotto("keys", "install", ca / "clinic-7", "--into", own, "--fingerprint", authority.upper())[0] == 0
    assert sotto("keys", "renew", "clinic-7", "--dir", ca, "--days", "500")[0] == 0
    assert sotto("keys", "install", ca / "clinic-7", "--into", own)[0] == 0  # this authority is trusted by now
    (shown,) = json.loads(sotto("keys", "show", own, "--json")[1])
    assert (shown["role"], shown["days_left"]) == ("alice", 499)
    assert not (ca / "clinic-7" / "key.pem").exists()


def test_who_makes_every_key_in_one_place_is_told_what_that_means(tmp_path):
    for arguments in (["init", tmp_path / "keys"], ["issue", "more", "--role", "alice", "--dir", tmp_path / "keys"]):
        assert "can pose as anybody, the dealer included" in " ".join(sotto("keys", *arguments)[1].split())


def test_alice_does_not_guess_the_paradigm(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(16000) / 10), 16000)
    code, said = sotto("alice", tmp_path / "a.wav", "--connect", "127.0.0.1:9")
    assert code == 2
    assert "--paradigm" in said
    meant = alice_command._meant
    assert meant("", "127.0.0.1:7200") == meant("two-party", None) == meant("malicious", "127.0.0.1:7200") == "mpc"
    assert meant("smh", None) == "hashing"


def test_who_waits_for_a_listener_says_so_after_two_seconds(caplog):
    with caplog.at_level("INFO", logger="sotto"), pytest.raises(LinkTimeout):
        connect("127.0.0.1", 9, timeout=2.3)
    assert "nobody listens at 127.0.0.1:9 yet" in caplog.text


def test_alice_hears_that_nobody_listens(tmp_path):
    soundfile.write(tmp_path / "a.wav", 0.1 * np.sin(np.arange(16000) / 10), 16000)
    done = CliRunner().invoke(
        cli.app,
        ["alice", str(tmp_path / "a.wav"), "--connect", "127.0.0.1:9", "--paradigm", "he", "--timeout", "0.3"],
    )
    assert done.exit_code == 1
    assert "nobody listens at 127.0.0.1:9" in str(done.exception)
