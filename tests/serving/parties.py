"""What the tests of services serve: doors that do as the client says, so that every kind of end can be tried."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from functools import partial

from sotto.link import LinkClosed, encode, listen
from sotto.serving.client import ClientConfig, opened
from sotto.serving.handshake import Hello, new_session
from sotto.serving.limits import Limits
from sotto.serving.service.hosting import HostProcess
from sotto.serving.service.reports import Loaded
from sotto.serving.service.sessions import ServiceConfig
from sotto.serving.terms import Terms
from tests.scripts import WARM

TERMS = Terms(paradigm="echo", mode="plain", classes=("no", "yes"), parameters={"word bits": 64})


class EchoDoor:
    """Answers with what was asked, after doing what it says."""

    def __init__(self, links):
        self._links = links

    def answer(self, link):
        try:
            wish = bytes(link.receive("ask", limit=1 << 20))
        except LinkClosed:
            return False
        if wish.startswith(b"sleep"):
            link.send("begun", b"")
            time.sleep(float(wish[5:]))
        if wish == b"die":
            os._exit(9)
        if wish == b"eat":
            wish = b"eaten" * 200_000_000
        if wish == b"fail":
            raise ValueError("a secret of the model")
        if self._links:
            self._links["dealer"].send("deal", b"")
            wish += bytes(self._links["dealer"].receive("dealt", limit=100))
        link.send("answer", wish)
        return True


class Echo:
    terms = TERMS

    def __init__(self, needs_dealer=False, mark="plain"):
        self.needs_dealer = needs_dealer
        if mark == "broken":
            raise RuntimeError("the model file is cut")

    def make(self, links):
        return EchoDoor(links)


class NoRoom(Echo):
    """Where the system starts no process as long as a file is there."""

    def __init__(self, path):
        super().__init__()
        fork = os.fork

        def refuse():
            if path.exists():
                raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            return fork()

        os.fork = refuse


class EchoFile(Echo):
    """Its model's name stands in a file, so that a reload can be seen."""

    def __init__(self, path):
        super().__init__()
        self.terms = Terms(paradigm="echo", mode="plain", model=path.read_text())


class EchoDealer:
    modes = ("plain",)
    kind = b" dealt"

    def fresh(self):
        other = EchoDealer()
        other.kind = b" freshly dealt"
        return other

    def serve(self, mode, alice, bob):
        names = [link.identity.name if link.identity else "" for link in (alice, bob)]
        while True:
            try:
                bob.receive("deal", limit=0)
            except LinkClosed:
                return
            bob.send("dealt", self.kind + f" to {names}".encode())


@contextlib.contextmanager
def host(load=Echo, role="bob", **settings):
    """A running host and its address; ``settings`` are limits, or fields of the config."""
    limits = {key: settings.pop(key) for key in list(settings) if key in Limits.__dataclass_fields__}
    with listen() as listener:
        address = listener.address
        running = HostProcess(
            ServiceConfig(role=role, load=load, limits=Limits(**limits), **settings), listener.detach(), modules=WARM
        )
    try:
        assert running.reports.poll(600)  # whatever else the machine does
        report = running.receive()
        assert isinstance(report, Loaded), report
        yield running, address
    finally:
        running.stop()


def dealing(modes):
    """A real dealer of mpc."""
    from sotto.serving.service.dealing import Dealing

    return Dealing(modes, None, 30.0)


def dealing_pair(keys=None, **limits):
    """Contexts of a dealer, and of a Bob at that dealer."""

    @contextlib.contextmanager
    def both():
        with (
            host(EchoDealer, role="dealer", keys=keys and keys / "dealer", **limits) as (dealer, dealer_at),
            host(partial(Echo, True), dealer=dealer_at, keys=keys and keys / "bob", **limits) as (bob, bob_at),
        ):
            yield dealer, dealer_at, bob, bob_at

    return both()


def client_config(address, **changes):
    return ClientConfig(
        **{"bob": address, "paradigm": "echo", "mode": "plain", "seconds": 20.0, "opening_seconds": 20.0, **changes}
    )


@contextlib.contextmanager
def session(address, **changes):
    with opened(client_config(address, **changes)) as links:
        yield links


def ask(links, text):
    links.bob.send("ask", text)
    return bytes(links.bob.receive("answer", limit=1 << 20))


def begin(links, text):
    """Ask something that takes long, and return when it is being answered."""
    links.bob.send("ask", text)
    links.bob.receive("begun", limit=0)


def hello(**changes):
    return encode(Hello(**{"role": "alice", "paradigm": "echo", "mode": "plain", "session": new_session(), **changes}))


def report_of(running, kind, which=lambda report: True, seconds=30.0):
    """The next report of ``kind`` that a host gives and that is the one."""
    said, deadline = [], time.monotonic() + seconds
    while not said or not isinstance(said[-1], kind) or not which(said[-1]):
        assert running.reports.poll(max(0.0, deadline - time.monotonic())), said
        said.append(running.receive())
    return said[-1]
