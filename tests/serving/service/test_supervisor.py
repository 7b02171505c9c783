"""A whole service: reload, drain, restart, health, journal."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from sotto.link import LinkError
from sotto.serving.service.monitoring.counters import Counters
from sotto.serving.service.monitoring.journal import Journal
from sotto.serving.service.reports import Loaded
from sotto.serving.service.sessions import ServiceConfig
from sotto.serving.service.supervisor import Supervisor
from tests.serving.parties import ask, begin, session

ROOT = Path(__file__).parent.parent.parent.parent


class Service:
    def __init__(self, folder, mode="first", health="127.0.0.1:0"):
        self.file = folder / "mode"
        self.file.write_text(mode)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.serving.whole_service", str(self.file), health],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.events = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        host, port, self.health = json.loads(self.process.stdout.readline())
        self.address = (host, port)

    def _read(self):
        for line in self.process.stderr:
            with contextlib.suppress(ValueError):
                self.events.append(json.loads(line))

    def await_event(self, name, count=1, seconds=30.0):
        deadline = time.monotonic() + seconds
        while len(found := [event for event in self.events if event["event"] == name]) < count:
            assert time.monotonic() < deadline, self.events
            time.sleep(0.02)
        return found[-1]

    def signal(self, number):
        self.process.send_signal(number)

    def end(self):
        self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def service(tmp_path):
    running = Service(tmp_path)
    yield running
    running.end()


def _get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_reload_takes_new_clients_and_drops_no_session(service):
    with session(service.address) as old:
        assert old.terms.model == "first"
        service.file.write_text("second")
        service.signal(signal.SIGHUP)
        service.await_event("model.reloaded")
        with session(service.address) as new:
            assert new.terms.model == "second"
            assert ask(old, b"still here") == b"still here"
            assert ask(new, b"here") == b"here"
        service.file.unlink()
        service.signal(signal.SIGHUP)
        service.await_event("reload.failed")
        with session(service.address) as after:
            assert after.terms.model == "second"
        assert ask(old, b"to the end") == b"to the end"


def test_a_host_that_dies_is_replaced_and_the_counters_tell(service):
    with session(service.address) as links:
        assert ask(links, b"before") == b"before"
        service.await_event("session.opened")
        (host,) = _children(service.process.pid)
        os.kill(host, signal.SIGKILL)
        assert ask(links, b"its session lives on") == b"its session lives on"
    service.await_event("service.serving", count=2)
    with session(service.address) as links:
        assert ask(links, b"after") == b"after"
    service.await_event("session.closed")
    status, text = _get(service.health, "/metrics")
    counted = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert status == 200
    assert counted['sotto_host_restarts_total{party="bob"}'] == "1"
    assert counted['sotto_sessions_opened_total{party="bob"}'] == "2"
    assert counted['sotto_sessions_running{party="bob"}'] == "0"
    assert _get(service.health, "/health") == (200, "serving\n")
    assert _get(service.health, "/secrets")[0] == 404


def _children(parent):
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            if "run_host" in _command(pid) or "spawn_main" in _command(pid)]  # fmt: skip


def _command(pid):
    return Path(f"/proc/{pid}/cmdline").read_bytes().decode()


def test_nothing_outlives_a_supervisor_that_was_killed(service):
    (host,) = _children(service.process.pid)
    with session(service.address) as links:
        assert ask(links, b"before") == b"before"
        service.process.kill()
        with pytest.raises(LinkError):
            links.bob.receive("answer", limit=10)
    deadline = time.monotonic() + 30
    while _alive(host):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_end_lets_a_query_finish(service, number):
    with session(service.address) as links:
        begin(links, b"sleep1.0")
        service.signal(number)
        service.await_event("service.draining")
        assert bytes(links.bob.receive("answer", limit=100)) == b"sleep1.0"
    assert service.process.wait(20) == 0
    with pytest.raises(LinkError), session(service.address, seconds=0.3):
        pass
    assert {event["event"] for event in service.events} >= {"service.serving", "session.opened", "service.ended"}


def test_the_second_wish_to_end_waits_for_nothing(service):
    with session(service.address) as links:
        begin(links, b"sleep600")
        service.signal(signal.SIGINT)
        service.await_event("service.draining")
        service.signal(signal.SIGINT)
        assert service.process.wait(25) == 0


def test_a_host_that_has_loaded_when_the_end_comes_takes_nothing_over(tmp_path):
    listener = socket.create_server(("127.0.0.1", 0))
    said = io.StringIO()
    supervisor = Supervisor(
        ServiceConfig(role="bob", load=dict),
        ("127.0.0.1", 0),
        journal=Journal("bob", stream=said),
        counters=Counters("bob"),
    )
    supervisor._listener, supervisor._coming = listener, (host := LoadedHost())
    supervisor._obey(signal.SIGTERM)  # while the host's report is on its way
    supervisor._hear(host)
    assert host.killed
    assert supervisor._current is None
    assert "service.serving" not in said.getvalue()


class LoadedHost:
    killed = False

    def receive(self):
        return Loaded("echo", "plain", "")

    def kill(self):
        self.killed = True


def test_health_on_a_unix_socket_is_for_its_owner(tmp_path):
    path = tmp_path / "health"
    running = Service(tmp_path, health=f"unix:{path}")
    try:
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(path))
            client.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            answer = b""
            while part := client.recv(4096):
                answer += part
        assert answer.endswith(b"serving\n")
    finally:
        running.end()
