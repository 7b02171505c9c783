"""The health endpoint by itself: what it answers, to whom, and how many at once."""

from __future__ import annotations

import contextlib
import select
import socket
import time
import urllib.error
import urllib.request

import pytest

from sotto.link import LinkError
from sotto.serving.service.monitoring.counters import Counters
from sotto.serving.service.monitoring.health import serve_health


@pytest.fixture
def counters():
    return Counters("bob")


@contextlib.contextmanager
def endpoint(counters, address="127.0.0.1:0"):
    health = serve_health(address, counters)
    try:
        yield health.address
    finally:
        health.close()


def get(address, path):
    try:
        with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_it_says_whether_the_service_takes_clients_and_what_it_counted(counters):
    with endpoint(counters) as at:
        assert get(at, "/health") == (503, "not serving\n")
        counters.set("up", 1)
        assert get(at, "/health") == (200, "serving\n")
        status, text = get(at, "/metrics")
        assert status == 200
        assert 'sotto_up{party="bob"} 1' in text
        assert get(at, "/../etc/passwd")[0] == 404


@pytest.mark.parametrize("address", ["0.0.0.0:0", "192.0.2.1:80", "nowhere", "127.0.0.1:99999", ":80"])
def test_it_is_for_this_machine_alone(counters, address):
    with pytest.raises(LinkError) as refused:
        serve_health(address, counters)
    assert "\n" not in str(refused.value)


def test_a_socket_file_is_the_users_own_and_goes_with_the_service(counters, tmp_path):
    path = tmp_path / "health.sock"
    with endpoint(counters, f"unix:{path}"):
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as caller:
            caller.connect(str(path))
            caller.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            assert b"503" in caller.recv(1000)
    assert not path.exists()


def test_callers_who_say_nothing_take_no_more_than_their_places_and_give_them_back(counters):
    with endpoint(counters) as at, contextlib.ExitStack() as stack:
        host, port = at.rsplit(":", 1)
        callers = [stack.enter_context(socket.create_connection((host, int(port)), timeout=10)) for _ in range(40)]
        hung_up: set[socket.socket] = set()
        while len(hung_up) < 24:  # of 40, those beyond the 16 places
            readable, _, _ = select.select([one for one in callers if one not in hung_up], [], [], 10)
            assert readable, "a caller too many is waiting"
            assert all(caller.recv(1) == b"" for caller in readable)
            hung_up.update(readable)
        assert len(hung_up) == 24
        for caller in callers:
            caller.close()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if get(at, "/health")[0] == 503:
                    return
            time.sleep(0.1)
        pytest.fail("the places were not given back")
