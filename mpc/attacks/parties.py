"""Alice, Bob and the dealer as three processes on this machine, with a transcript of what each party saw.

Bob may cheat: his link alters chosen messages on their way out, everything else of him stays honest.  The
transcripts are what a party itself sees: every payload it sent or received, on both of its links.
"""

from __future__ import annotations

import multiprocessing
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn, set_num_threads

from link import Answer, Link, connect, listen
from mpc.alice import Alice
from mpc.bob import Bob
from mpc.dealer import Dealer
from mpc.errors import MpcError, ProtocolError
from mpc.messages import Mode, Reveal
from mpc.plan import Shape

Party = Literal["alice", "bob"]

#: One message as a party saw it: "sent" or "received", its name, its payload.
Message = tuple[str, str, bytes]


@dataclass(frozen=True)
class Cheat:
    """Add ``offset`` (mod 2^64) to word ``word`` of the ``message``-th message of shares that the cheater sends in a
    query.  Counted from 0 and taken modulo how many there are, so any number names a place."""

    message: int
    word: int
    offset: int


@dataclass(frozen=True)
class Run:
    """What came out: per batch an :class:`link.Answer`, or why Alice took none; and each party's transcripts."""

    answers: list[Answer | str]
    transcripts: dict[Party, dict[Literal["peer", "dealer"], list[Message]]] = field(repr=False)

    def places(self, party: Party) -> list[str]:
        """What ``party``'s messages of shares in its first query are called, in order: "crypten.all_reduce 3"."""
        counts: Counter[str] = Counter()
        places: list[str] = []
        queries = 0
        for way, name, _ in self.transcripts[party]["peer"]:
            queries += name == "mpc.query"
            if queries == 1 and way == "sent" and _holds_shares(name):
                places.append(f"{name} {counts[name]}")
                counts[name] += 1
        return places


class _CheatingLink(Link):
    """Bob's link to Alice: query q's messages are altered as ``cheats[q]`` says; None leaves a query alone.

    The first query must be left alone: its messages are counted.
    """

    def __init__(self, sock: socket.socket, cheats: Sequence[Cheat | None], *, timeout: float) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(sock, timeout=timeout, peer="alice")
        self._cheats = list(cheats)
        self._query = -1
        self._sent = self._messages = 0

    def exchange(self, name: str, payload: Any, *, limit: int, timeout: float | None = None) -> bytearray:
        return super().exchange(name, self._altered(name, payload), limit=limit, timeout=timeout)

    def send(self, name: str, payload: Any, *, timeout: float | None = None) -> None:
        super().send(name, self._altered(name, payload), timeout=timeout)

    def receive_any(self, limits: Any, *, timeout: float | None = None) -> tuple[str, bytearray]:
        name, payload = super().receive_any(limits, timeout=timeout)
        if name == "mpc.query":
            self._messages = self._sent if self._query == 0 else self._messages
            self._query += 1
            self._sent = 0
        return name, payload

    def _altered(self, name: str, payload: Any) -> Any:
        if not _holds_shares(name) or self._query < 0:
            return payload
        number, self._sent = self._sent, self._sent + 1
        cheat = self._cheats[self._query] if self._query < len(self._cheats) else None
        if cheat is None or not self._messages or number != cheat.message % self._messages:
            return payload
        words = np.frombuffer(payload, "<u8").copy()
        place = cheat.word % len(words)
        words[place] = (int(words[place]) + cheat.offset) % 2**64
        return words.tobytes()


def _holds_shares(name: str) -> bool:
    return name.startswith("crypten.")


@dataclass(frozen=True)
class _Setting:
    """Everything the three processes need to know."""

    module: nn.Module
    input_shape: Shape
    batches: list[npt.NDArray[np.float32]]
    mode: Mode
    reveal: Reveal
    cheats: tuple[Cheat | None, ...]
    recorded: int
    timeout: float


def run_parties(
    module: nn.Module,
    input_shape: Shape,
    batches: Sequence[npt.ArrayLike],
    *,
    mode: Mode = "crypten",
    reveal: Reveal = "class",
    cheats: Sequence[Cheat | None] = (),
    recorded: int = 1,
    timeout: float = 60.0,
) -> Run:
    """Ask Bob's ``module`` about every batch, features float32 (n, *input_shape), in one session of three processes.

    ``cheats[q]`` is what Bob does in query q; the first must be None.  The transcripts hold the set-up and the first
    ``recorded`` queries.  Raises :class:`mpc.MpcError` when a party fails.
    """
    if cheats and cheats[0] is not None:
        raise ValueError("leave the first query alone: its messages are counted")
    arrays = [np.asarray(batch, np.float32) for batch in batches]
    setting = _Setting(module, input_shape, arrays, mode, reveal, tuple(cheats), recorded, timeout)
    patience = timeout * (2 + len(arrays))
    with _process(_dealer, setting) as dealer, _process(_bob, setting) as bob, _process(_alice, setting) as alice:
        alice_port, bob_port = _hear(dealer, patience)
        bob.send(bob_port)
        alice.send((alice_port, _hear(bob, patience)))
        answers, seen_by_alice = _hear(alice, patience)
        seen_by_bob = _hear(bob, patience)
    return Run(answers, {"alice": seen_by_alice, "bob": seen_by_bob})


def _dealer(parent: Connection, setting: _Setting) -> None:
    with listen() as for_alice, listen() as for_bob:
        parent.send((None, (for_alice.address[1], for_bob.address[1])))
        alice = for_alice.accept(timeout=setting.timeout, peer="alice")
        bob = for_bob.accept(timeout=setting.timeout, peer="bob")
    Dealer(mode=setting.mode).serve(alice, bob)


def _bob(parent: Connection, setting: _Setting) -> None:
    dealer = connect("127.0.0.1", parent.recv(), timeout=setting.timeout, peer="the dealer")
    bob = Bob(setting.module, dealer, input_shape=setting.input_shape, mode=setting.mode, reveal=setting.reveal)
    with socket.create_server(("127.0.0.1", 0)) as server:
        parent.send((None, server.getsockname()[1]))
        server.settimeout(setting.timeout)
        alice = _CheatingLink(server.accept()[0], setting.cheats, timeout=setting.timeout)
    seen = _recorded(setting, alice, dealer)
    bob.serve(alice)
    parent.send((None, seen))


def _alice(parent: Connection, setting: _Setting) -> None:
    dealer_port, bob_port = parent.recv()
    dealer = connect("127.0.0.1", dealer_port, timeout=setting.timeout, peer="the dealer")
    bob = connect("127.0.0.1", bob_port, timeout=setting.timeout, peer="bob")
    seen = _recorded(setting, bob, dealer)
    alice = Alice(dealer, mode=setting.mode, reveal=setting.reveal)
    answers: list[Answer | str] = []
    for features in setting.batches:
        try:
            answers.append(alice.ask(features, bob))
        except ProtocolError as error:
            answers.append(str(error))
    bob.close()
    dealer.close()
    parent.send((None, (answers, seen)))


def _recorded(setting: _Setting, peer: Link, dealer: Link) -> dict[str, list[Message]]:
    seen: dict[str, list[Message]] = {"peer": [], "dealer": []}
    queries = 0

    def write(where: str) -> Callable[[str, str, memoryview], None]:
        def observer(way: str, name: str, payload: memoryview) -> None:
            nonlocal queries
            queries += name == "mpc.query"
            if queries <= setting.recorded:
                seen[where].append((way, name, bytes(payload)))

        return observer

    peer.observer = write("peer")
    dealer.observer = write("dealer")
    return seen


def _entry(target: Callable[..., None], parent: Connection, setting: _Setting) -> None:
    set_num_threads(1)
    try:
        target(parent, setting)
    except Exception as error:
        parent.send((f"{target.__name__.strip('_')}: {error}", None))


@contextmanager
def _process(target: Callable[..., None], setting: _Setting) -> Iterator[Connection]:
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_entry, args=(target, theirs, setting), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        process.join(10)
    finally:
        process.kill()
        process.join()
        ours.close()


def _context() -> Any:
    """Processes that share nothing with this one: forked, where the system can, from a server that only imports."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "mpc.crypten_session", "mpc.crypten_supply"])
    return context


def _hear(process: Connection, patience: float) -> Any:
    """What a process reports next; raises what it failed with."""
    try:
        if not process.poll(patience):
            raise MpcError(f"a party said nothing for {patience:g} s: the machine may be too busy, raise the timeout")
        error, result = process.recv()
    except EOFError:
        raise MpcError("a party's process ended without a word") from None
    if error is not None:
        raise MpcError(error)
    return result
