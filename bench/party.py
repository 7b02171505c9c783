"""The inside of one party's process: it opens its links, runs its door, and reports what it cost and saw."""

from __future__ import annotations

import contextlib
import hmac
import logging
import resource
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from bench.control import (
    Answered,
    Ask,
    Connect,
    Count,
    CountNow,
    EndSession,
    Failed,
    Listening,
    Message,
    Prepare,
    Prepared,
    Provision,
    Provisioned,
    Ready,
    Report,
    Seen,
    difference,
    hear,
    tell,
)
from link import Array, Link, LinkError, Listener, Shape, connect, listen

#: Makes the party: ``factory(job, links)`` with the links to the parties it must know when it is made (the dealer).
Factory = Callable[[Mapping[str, Any], Mapping[str, Link]], Any]

_SEEN_MESSAGES = 2000
_TOKEN = "bench.token"  # noqa: S105  a message name


@dataclass(frozen=True)
class Part:
    """What one party is made from: a module-level factory and its own job, nothing of the others'."""

    factory: Factory
    job: Mapping[str, Any]

    def make(self, known: Mapping[str, Link]) -> Any:
        return self.factory(self.job, known)


@dataclass(frozen=True)
class Orders:
    """All that one party's process is given: its role, and its own part in each session."""

    role: str
    sessions: tuple[Part, ...]
    with_dealer: bool
    shape: Shape
    timeout: float
    #: Of this run; who connects shows it, because any account of the machine can reach a port.
    token: bytes = field(repr=False)
    keep_payloads: int = 0  # bytes of each message to keep for a transcript; 0: no transcript


@dataclass
class _Witness:
    """Collects what this party sees on its links."""

    keep: int
    seen: list[Seen] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def watch(self, link: Link) -> Link:
        def note(direction: str, name: str, payload: memoryview) -> None:
            if len(self.seen) < _SEEN_MESSAGES:
                kept = bytes(payload[: self.keep])
                self.seen.append(Seen(direction, link.peer, name, payload.nbytes, kept, time.monotonic()))

        if self.keep:
            link.observer = note
        self.links.append(link)
        return link

    def count(self) -> Count:
        return Count(
            sum(link.traffic.bytes_sent for link in self.links),
            sum(link.traffic.rounds for link in self.links),
            time.process_time() * 1e3,
            peak_rss_mb(),
        )

    def count_on_demand(self, pipe: Connection) -> None:
        """From now on tell the parent the count whenever it asks, beside the party's own work."""

        def answer() -> None:
            with contextlib.suppress(EOFError, OSError):
                while True:
                    _await(pipe, CountNow)
                    tell(pipe, self.count())

        threading.Thread(target=answer, name="count", daemon=True).start()


class _Notes(logging.Handler):
    """Keeps what the packages log for the user, so that the harness can show it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < 100:
            self.lines.append(record.getMessage())


def run(orders: Orders, pipe: Connection) -> None:
    """Entry point of the process: exits with code 1 after telling the parent why."""
    one_thread()
    notes = _Notes()
    logging.getLogger("sotto").addHandler(notes)
    logging.getLogger("sotto").setLevel(logging.INFO)
    witness = _Witness(orders.keep_payloads)
    try:
        {"alice": _run_alice, "bob": _run_bob, "dealer": _run_dealer}[orders.role](orders, pipe, witness)
        tell(pipe, Report(peak_rss_mb(), witness.seen, notes.lines))
    except (Exception, KeyboardInterrupt) as error:
        for link in witness.links:
            # Not why: what one party noticed can tell the other something it must not learn.
            link.fail(f"{orders.role} stopped")
        with contextlib.suppress(OSError):
            tell(pipe, Failed(_one_line(error), traceback.format_exc()))
        sys.exit(1)


def one_thread() -> None:
    """Figures are for one thread a party; libraries loaded later are held by the environment the parent set."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def peak_rss_mb() -> float:
    """Largest resident set of this process so far, in MB.

    Linux counts what the starting process held into ``ru_maxrss``, so there the figure is the kernel's VmHWM.
    """
    with contextlib.suppress(OSError), open("/proc/self/status", encoding="ascii") as status:  # noqa: PTH123
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:500]


def _await(pipe: Connection, kind: type[Message]) -> Any:
    message = hear(pipe)
    if not isinstance(message, kind):
        raise RuntimeError(f"the harness sent {type(message).__name__} out of turn")
    return message


def _run_dealer(orders: Orders, pipe: Connection, witness: _Witness) -> None:
    with listen() as for_alice, listen() as for_bob:
        tell(pipe, Listening({"alice": for_alice.address[1], "bob": for_bob.address[1]}))
        witness.count_on_demand(pipe)
        for part in orders.sessions:
            alice, bob = _accept(for_alice, "alice", orders, witness), _accept(for_bob, "bob", orders, witness)
            with alice, bob:
                part.make({}).serve(alice, bob)


def _run_bob(orders: Orders, pipe: Connection, witness: _Witness) -> None:
    with listen() as listener:
        tell(pipe, Listening({"alice": listener.address[1]}))
        ports = _await(pipe, Connect).ports
        witness.count_on_demand(pipe)
        for part in orders.sessions:
            with _dealer_link(orders, ports, witness) as known:
                bob = part.make(known)
                tell(pipe, Ready())  # loading the model is not part of a session's cost
                with _accept(listener, "alice", orders, witness) as link:
                    while bob.answer(link):
                        pass


def _run_alice(orders: Orders, pipe: Connection, witness: _Witness) -> None:
    ports = _await(pipe, Connect).ports
    for part in orders.sessions:
        _await(pipe, Prepare)
        with _dealer_link(orders, ports, witness) as known, _connect("bob", orders, ports, witness) as link:
            _session(part, pipe, witness, known, link)


def _session(part: Part, pipe: Connection, witness: _Witness, known: Mapping[str, Link], link: Link) -> None:
    alice = part.make(known)
    provisions = hasattr(alice, "provision")
    before, started = witness.count(), time.perf_counter()
    alice.prepare(link)
    tell(pipe, Prepared(_ms(started), _since(witness, before), provisions))
    while not isinstance(order := hear(pipe), EndSession):
        if isinstance(order, Provision):
            before, started = witness.count(), time.perf_counter()
            alice.provision(link, order.examples)
            tell(pipe, Provisioned(_ms(started), _since(witness, before)))
        elif isinstance(order, Ask):
            features = order.features.numpy(dtype="float32", shape=(None,) * len(order.features.shape))
            before, started = witness.count(), time.perf_counter()
            answer = alice.ask(features, link)
            elapsed, used = _ms(started), _since(witness, before)
            scores = None if answer.scores is None else Array.of(answer.scores.astype("float32"))
            tell(pipe, Answered(elapsed, Array.of(answer.labels.astype("int64")), scores, used))
        else:
            raise RuntimeError(f"the harness sent {type(order).__name__} out of turn")


def _ms(started: float) -> float:
    return (time.perf_counter() - started) * 1e3


def _since(witness: _Witness, before: Count) -> Count:
    return difference(witness.count(), before)


@contextlib.contextmanager
def _dealer_link(orders: Orders, ports: Mapping[str, int], witness: _Witness) -> Iterator[Mapping[str, Link]]:
    if not orders.with_dealer:
        yield {}
        return
    with _connect("dealer", orders, ports, witness) as link:
        yield {"dealer": link}


def _connect(peer: str, orders: Orders, ports: Mapping[str, int], witness: _Witness) -> Link:
    link = connect("127.0.0.1", ports[peer], timeout=orders.timeout, shape=orders.shape, peer=peer)
    link.send(_TOKEN, orders.token)
    return witness.watch(link)


def _accept(listener: Listener, peer: str, orders: Orders, witness: _Witness) -> Link:
    link = listener.accept(timeout=orders.timeout, shape=orders.shape, peer=peer)
    if not hmac.compare_digest(link.receive(_TOKEN, limit=len(orders.token)), orders.token):
        raise LinkError(f"somebody else than {peer} connected")
    return witness.watch(link)
