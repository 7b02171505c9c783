"""Alice, Bob and the dealer as three processes on this machine, with a transcript of what each party saw.

The transcripts are what a party itself sees: every payload it sent or received, on both of its links.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from torch import nn, set_num_threads

from sotto.link import Answer, Link, connect, listen
from sotto.mpc.alice import Alice
from sotto.mpc.attacks.cheats import Party
from sotto.mpc.bob import Bob
from sotto.mpc.dealer import Dealer
from sotto.mpc.errors import MpcError, ProtocolError
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT
from sotto.mpc.graph.layers import Shape
from sotto.mpc.lowering.lowered import LoweredModel
from sotto.mpc.messages import Mode, Reveal
from sotto.mpc.modes import needs_dealer

#: One message as a party saw it: "sent" or "received", its name, its payload.
Message = tuple[str, str, bytes]


@dataclass(frozen=True)
class Run:
    """What came out: per batch an :class:`sotto.link.Answer`, or why Alice took none; and each party's transcripts."""

    answers: list[Answer | str]
    transcripts: dict[Party, dict[Literal["peer", "dealer"], list[Message]]] = field(repr=False)


@dataclass(frozen=True)
class _Setting:
    """Everything the three processes need to know."""

    network: LoweredModel
    batches: list[npt.NDArray[np.float32]]
    mode: Mode
    reveal: Reveal
    recorded: int
    timeout: float


def lowered(
    module: nn.Module | LoweredModel, input_shape: Shape, input_limit: float = DEFAULT_INPUT_LIMIT
) -> LoweredModel:
    """``module`` traced once, here, so that no process of a party has to."""
    return module if isinstance(module, LoweredModel) else LoweredModel.of(module, input_shape, input_limit=input_limit)


def run_parties(
    module: nn.Module | LoweredModel,
    input_shape: Shape,
    batches: Sequence[npt.ArrayLike],
    *,
    mode: Mode = "crypten",
    reveal: Reveal = "class",
    recorded: int = 1,
    timeout: float = 60.0,
) -> Run:
    """Ask Bob's ``module`` about every batch, features float32 (n, *input_shape), in one session of three processes.

    The transcripts hold the set-up and the first ``recorded`` queries.  Raises :class:`sotto.mpc.MpcError` if a party
    fails.
    """
    arrays = [np.asarray(batch, np.float32) for batch in batches]
    setting = _Setting(lowered(module, input_shape), arrays, mode, reveal, recorded, timeout)
    patience = timeout * (2 + len(arrays))
    with process_of(_dealer, setting) as dealer, process_of(_bob, setting) as bob, process_of(_alice, setting) as alice:
        alice_port, bob_port = receive_from(dealer, patience)
        bob.send(bob_port)
        alice.send((alice_port, receive_from(bob, patience)))
        answers, seen_by_alice = receive_from(alice, patience)
        seen_by_bob = receive_from(bob, patience)
    return Run(answers, {"alice": seen_by_alice, "bob": seen_by_bob})


def _dealer(parent: Connection, setting: _Setting) -> None:
    with listen() as for_alice, listen() as for_bob:
        parent.send((None, (for_alice.address[1], for_bob.address[1])))
        if not needs_dealer(setting.mode):
            return
        alice = for_alice.accept(timeout=setting.timeout, peer="alice")
        bob = for_bob.accept(timeout=setting.timeout, peer="bob")
    Dealer(mode=setting.mode).serve(alice, bob)


def _bob(parent: Connection, setting: _Setting) -> None:
    dealer = _dial_dealer(parent.recv(), setting)
    bob = Bob(setting.network, dealer, mode=setting.mode, reveal=setting.reveal)
    with listen() as listener:
        parent.send((None, listener.address[1]))
        alice = listener.accept(timeout=setting.timeout, peer="alice")
    seen = _recorded(setting, alice, dealer)
    bob.serve(alice)
    parent.send((None, seen))


def _alice(parent: Connection, setting: _Setting) -> None:
    dealer_port, bob_port = parent.recv()
    dealer = _dial_dealer(dealer_port, setting)
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
    if dealer:
        dealer.close()
    parent.send((None, (answers, seen)))


def _dial_dealer(port: int, setting: _Setting) -> Link | None:
    if not needs_dealer(setting.mode):
        return None
    return connect("127.0.0.1", port, timeout=setting.timeout, peer="the dealer")


def _recorded(setting: _Setting, peer: Link, dealer: Link | None) -> dict[str, list[Message]]:
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
    if dealer:
        dealer.observer = write("dealer")
    return seen


def _entry(target: Callable[..., None], parent: Connection, setting: Any) -> None:
    set_num_threads(1)
    try:
        target(parent, setting)
    except EOFError:
        return  # the experimenter has seen enough
    except Exception as error:
        parent.send((f"{target.__name__.strip('_')}: {error}", None))


@contextmanager
def process_of(target: Callable[..., None], setting: Any, *, patience: float = 10.0) -> Iterator[Connection]:
    """``target(connection, setting)`` in a process of its own; it is killed ``patience`` seconds after the block.

    The target ends when it finds its connection closed (``EOFError``), which is when the block ends.
    """
    context = _context()
    ours, theirs = context.Pipe()
    process = context.Process(target=_entry, args=(target, theirs, setting), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        ours.close()
        process.join(patience)
    finally:
        process.kill()
        process.join()
        ours.close()


def _context() -> Any:
    """Processes that share nothing with this one: forked, where the system can, from a server that only imports."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "sotto.mpc.crypten.session", "sotto.mpc.crypten.supply"])
    return context


def receive_from(process: Connection, patience: float) -> Any:
    """What a process reports next; raises what it failed with."""
    try:
        if not process.poll(patience):
            raise MpcError(
                "silent", f"a party said nothing for {patience:g} s: the machine may be too busy, raise the timeout"
            )
        error, result = process.recv()
    except EOFError:
        raise MpcError("ended", "a party's process ended without a word") from None
    if error is not None:
        raise MpcError("failed", error)
    return result
