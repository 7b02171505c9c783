"""``sotto.connect``: Alice here, a Bob and a dealer that were started as services."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import sotto
from sotto.api.connect import address
from sotto.audio.features import MeanMFCC
from sotto.link import BadValue
from sotto.models import ModelRecord, save
from sotto.models.architectures import build
from sotto.serving.errors import AdapterError
from sotto.serving.terms import Terms, write_terms
from tests.error_codes import raises_code


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def start():
    running = []

    def begin(*arguments):
        port = free_port()
        command = [sys.executable, "-m", "sotto", *map(str, arguments), "--listen", f"127.0.0.1:{port}"]
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return f"127.0.0.1:{port}"
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the service does not listen")

    yield begin
    for process in running:
        process.send_signal(signal.SIGTERM)
    for process in running:
        process.wait(20)


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(0)
    arguments = {"classes": 3}
    module = build("depinto", arguments).eval()
    record = ModelRecord(
        architecture="depinto", arguments=arguments, classes=("a", "b", "c"), features=MeanMFCC().to_record()
    )
    save(tmp_path / "model.safetensors", module, record)
    return module, tmp_path / "model.safetensors"


def test_a_session_over_links_answers_until_it_is_closed(start, model, tmp_path):
    module, path = model
    dealer = start("dealer", "--mode", "semi-honest")
    bob = start("bob", path, "--paradigm", "mpc", "--mode", "semi-honest", "--dealer", dealer)
    x = np.random.default_rng(0).normal(size=(3, 40))
    with torch.inference_mode():
        plain = module(torch.from_numpy(x.astype(np.float32))).argmax(1).tolist()
    with sotto.connect("mpc", bob, dealer=dealer, mode="semi-honest") as alice:
        assert alice.input_shape == (40,)
        assert alice.classes == ("a", "b", "c")
        assert alice.ask(x).labels.tolist() == plain
        with pytest.raises(sotto.InputRefused):
            alice.ask(x[:, :39])
        alice.provision()
        assert alice.ask(x[0].tolist()).labels.tolist() == plain[:1]
        costs = alice.costs
        assert costs.queries == 2
        assert costs.offline.bytes["dealer"] > 0
        assert costs.online.bytes["alice"] > 0
        assert costs.online.rounds["alice"] >= 1
        assert not costs.peak_rss_mb
    with raises_code(sotto.SessionError, "session-over"):
        alice.ask(x)
    write_terms(tmp_path, Terms(paradigm="mpc", mode="semi-honest", classes=("a", "b")))
    with raises_code(sotto.SessionError, "peer-gave-up", match="alice holds the terms"):
        sotto.connect("mpc", bob, dealer=dealer, terms=tmp_path / "terms.json")


def wait_until(there, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_provisioned_and_not_used_waits_for_the_next_session(start, model, tmp_path):
    module, path = model
    bob = start("bob", path, "--paradigm", "mpc", "--mode", "two-party", "--store", tmp_path / "bob")
    x = np.random.default_rng(0).normal(size=(1, 40))
    with torch.inference_mode():
        plain = module(torch.from_numpy(x.astype(np.float32))).argmax(1).tolist()
    offline = []
    for ask in (False, True):
        with sotto.connect("mpc", bob, mode="two-party", store=tmp_path / "alice") as alice:
            alice.provision()
            if ask:
                assert alice.ask(x).labels.tolist() == plain
                offline.append(alice.costs.offline.bytes)
                alice.ask(x)  # nothing waits for this one
                offline.append(alice.costs.offline.bytes)
        if not ask:
            wait_until(lambda: list((tmp_path / "bob").rglob("*.ready")))  # its session ends after Alice's
    kept, made = (sum(each.values()) for each in offline)
    assert kept < 1000 < made
    assert not list((tmp_path / "alice").glob("*.ready"))


def test_a_folder_for_preparations_that_is_open_to_others_is_refused_in_one_line(start, model, tmp_path):
    bob = start("bob", model[1], "--paradigm", "mpc", "--mode", "two-party")
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    with raises_code(sotto.SessionError, "open-folder"):
        sotto.connect("mpc", bob, mode="two-party", store=folder)


def test_nobody_there_is_one_line():
    with raises_code(sotto.SessionError, "nobody-listens"):
        sotto.connect("he", f"127.0.0.1:{free_port()}", timeout=0.2)


@pytest.mark.parametrize(
    ("arguments", "kind", "code"),
    [
        (("mpc", "127.0.0.1:1"), BadValue, "dealer-needed"),
        (("tea", "127.0.0.1:1"), AdapterError, "unknown-paradigm"),
        (("he", "here"), BadValue, "bad-address"),
    ],
)
def test_what_cannot_be_meant_is_told(arguments, kind, code):
    with raises_code(kind, code):
        sotto.connect(*arguments)


def test_a_store_is_for_the_mode_that_prepares_without_a_dealer():
    with raises_code(BadValue, "no-store"):
        sotto.connect("mpc", "127.0.0.1:1", dealer="127.0.0.1:2", mode="malicious", store="kept")


def test_terms_that_are_not_there_are_told(tmp_path):
    with raises_code(BadValue, "no-terms"):
        sotto.connect("he", "127.0.0.1:1", terms=tmp_path)


def test_addresses():
    assert address("[::1]:7100", "bob") == ("::1", 7100)
    for text in ("7100", ":7100", "h:", "h:0", "h:70000", "h:7100x"):
        with raises_code(BadValue, "bad-address"):
            address(text, "bob")
