"""What an experiment adds to the processes of :mod:`sotto.serving`: it drives Alice, and hears what every party cost
and saw.

Bob's and the dealer's sessions are those of the services, in a host and a process each; :class:`Measured` watches them
and reports.  Alice's process is started here, opens her links as ``sotto alice`` does, and asks when she is told.
"""

from __future__ import annotations

import contextlib
import logging
import resource
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from tqdm import tqdm

from sotto.bench.parties import control
from sotto.bench.parties.child_process import Failed, expect, one_thread, receive, send
from sotto.link import Array, Link, Shape
from sotto.serving.client import ClientConfig, opened
from sotto.serving.terms import Terms

#: Makes the party: ``factory(job, links)`` with the links to the parties it must know when it is made (the dealer).
Factory = Callable[[Mapping[str, Any], Mapping[str, Link]], Any]

_SEEN_MESSAGES = 2000
_EXPERIMENT = "experiment"  # what the handshake calls the paradigm of a part


@dataclass(frozen=True)
class PartySpec:
    """What one party is made from: a module-level factory and its own job, nothing of the others'.

    ``warm_up``, called with the job, imports and compiles what the party's sessions run, once for all of them.
    ``modules``: what the party cannot begin without, as in :func:`sotto.serving.service.processes.start`.
    """

    factory: Factory
    job: Mapping[str, Any]
    warm_up: Callable[[Mapping[str, Any]], None] | None = None
    modules: tuple[str, ...] = ()

    def make(self, known: Mapping[str, Link]) -> Any:
        return self.factory(self.job, known)


class HostedParty:
    """Bob's or the dealer's part as a service hosts it; each session's process makes it anew."""

    terms = Terms(paradigm=_EXPERIMENT, mode="", reveal="logits")
    modes = ("",)

    def __init__(self, part: PartySpec, needs_dealer: bool) -> None:
        tqdm.get_lock()  # a semaphore that this process cleans up at its end; a session that made it would leave it
        if part.warm_up:
            part.warm_up(part.job)
        self._part = part
        self.needs_dealer = needs_dealer

    def make(self, links: Mapping[str, Link]) -> Any:
        return self._part.make(links)

    def serve(self, mode: str, alice: Link, bob: Link) -> None:
        self._part.make({}).serve(alice, bob)


@dataclass(frozen=True)
class PartyConfig:
    """All that Alice's process is given: her own part in each session."""

    sessions: tuple[PartySpec, ...]
    shape: Shape
    timeout: float
    #: Of this run; who connects shows it, because any account of the machine can reach a port.
    token: bytes = field(repr=False)
    keep_payloads: int = 0  # bytes of each message to keep for a transcript; 0: no transcript


@dataclass
class _Witness:
    """Collects what this party sees on its links."""

    keep: int
    seen: list[control.Seen] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)

    def watch(self, link: Link) -> Link:
        def note(direction: str, name: str, payload: memoryview) -> None:
            if len(self.seen) < _SEEN_MESSAGES:
                kept = bytes(payload[: self.keep])
                self.seen.append(control.Seen(direction, link.peer, name, payload.nbytes, kept, time.monotonic()))

        if self.keep:
            link.observer = note
        self.links.append(link)
        return link

    def count(self) -> control.Count:
        return control.Count(
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
                    expect(pipe, control.Message, control.CountNow)
                    send(pipe, self.count())

        threading.Thread(target=answer, name="count", daemon=True).start()


class _Notes(logging.Handler):
    """Keeps what the packages log for the user, so that the experimenter can show it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def listen(self) -> list[str]:
        """From now on; gives the list that will hold the lines."""
        logging.getLogger("sotto").addHandler(self)
        logging.getLogger("sotto").setLevel(logging.INFO)
        return self.lines

    def emit(self, record: logging.LogRecord) -> None:
        if len(self.lines) < 100:
            self.lines.append(record.getMessage())


class Measured:
    """The probe of Bob's or the dealer's sessions, one after the other: counts on demand, and a report at the end.

    ``pipe`` is the sessions' end of a pipe to the experimenter, ``keep`` as in :class:`PartyConfig`.
    """

    def __init__(self, pipe: Connection, keep: int) -> None:
        self._pipe = pipe
        self._witness = _Witness(keep)
        self._notes: list[str] = []

    def begin(self, role: str) -> None:
        one_thread()
        self._notes = _Notes().listen()

    def watch(self, link: Link) -> Link:
        return self._witness.watch(link)

    def ready(self) -> None:
        self._witness.count_on_demand(self._pipe)

    def done(self) -> None:
        send(self._pipe, control.Report(peak_rss_mb(), self._witness.seen, self._notes))

    def failed(self, error: BaseException) -> None:
        with contextlib.suppress(OSError):
            send(self._pipe, Failed.of(error))

    def died(self, code: int) -> None:
        with contextlib.suppress(OSError):
            send(self._pipe, Failed("died", f"its process ended with code {code}"))


def run_alice(pipe: Connection, config: PartyConfig) -> None:
    """The job of Alice's process."""
    notes, witness = _Notes().listen(), _Witness(config.keep_payloads)
    try:
        for part in config.sessions:
            ports = expect(pipe, control.Message, control.Connect).ports
            with opened(_client_config(config, ports)) as links:
                known = {role: witness.watch(link) for role, link in links.others.items()}
                _session(part, pipe, witness, known, witness.watch(links.bob))
        send(pipe, control.Report(peak_rss_mb(), witness.seen, notes))
    except (Exception, KeyboardInterrupt):
        for link in witness.links:
            # Not why: what one party noticed can tell the other something it must not learn.
            link.fail("alice stopped")
        raise


def _client_config(config: PartyConfig, ports: Mapping[str, int]) -> ClientConfig:
    return ClientConfig(
        bob=("127.0.0.1", ports["bob"]),
        dealer=("127.0.0.1", ports["dealer"]) if "dealer" in ports else None,
        paradigm=_EXPERIMENT,
        mode="",
        reveal="logits",  # the most that a part may do; each says itself what it does
        seconds=config.timeout,
        opening_seconds=config.timeout,
        shape=config.shape,
        token=config.token,
    )


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


def _session(spec: PartySpec, pipe: Connection, witness: _Witness, known: Mapping[str, Link], link: Link) -> None:
    alice = spec.make(known)
    provisions = hasattr(alice, "provision")
    send(pipe, control.Ready())
    while not isinstance(order := receive(pipe, control.Message), control.EndSession):
        try:
            done = _carry_out(order, alice, link, witness)
        except ValueError as error:
            if not link.sound:
                raise
            send(pipe, control.Refused(Failed.of(error).reason))  # before anything was sent
        else:
            done.provisions = provisions
            send(pipe, done)


def _carry_out(order: control.Message, alice: Any, link: Link, witness: _Witness) -> control.Done:
    features, answer = None, None
    if isinstance(order, control.Ask):
        features = order.features.numpy(dtype="float32", shape=(None,) * len(order.features.shape))
    before, started = witness.count(), time.perf_counter()
    if isinstance(order, control.Prepare):
        alice.prepare(link)
    elif isinstance(order, control.Provision):
        alice.provision(link, order.examples)
    elif features is not None:
        answer = alice.ask(features, link)
    else:
        raise RuntimeError(f"the experimenter sent {type(order).__name__} out of turn")
    elapsed = (time.perf_counter() - started) * 1e3
    done = control.Done(elapsed, control.difference(witness.count(), before), False)
    if answer is not None:
        done.labels = Array.of(answer.labels.astype("int64"))
        done.scores = None if answer.scores is None else Array.of(answer.scores.astype("float32"))
    return done
