"""A party that departs from the protocol: everything it sends can be altered, message by message.

:class:`sotto.mpc.Alice` or :class:`sotto.mpc.Bob` runs behind a link that alters messages, without its own checks
(:func:`skip_checks`) and without a word when it gives up, so whatever ends the session is the victim's doing.  A
*place* names a message of the session, ``relu2.sign`` or, for a name that comes up again, ``crypten.all_reduce#3``; a
*kind* says what is done:

    add           adds to one word                      consistent    the same, and the cheater goes on as if it were so
    flip          flips one bit                         random        replaces everything by random bytes
    zero          sends zeros                           short, long   a byte less, a byte more
    drop          sends nothing                         repeat        sends it twice
    reorder       sends it after the next one           delay         sends it late
    reflect       sends the peer's own words back       frame         damages the frame around it

``consistent`` is the strongest against authentication: both sides then compute with the same wrong word (but for
``mpc.masked``, told before the other's share is heard, which is only added to).  The kind
``meaning`` alters no message: its place is one of :data:`sotto.mpc.attacks.meanings.MEANINGS`.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal, get_args
from unittest.mock import patch

from sotto.link import Link
from sotto.link.frames import HEADER
from sotto.mpc.protocols.malicious.evaluation import MaliciousEvaluation

Party = Literal["alice", "bob"]
Kind = Literal[
    "add", "consistent", "flip", "random", "zero", "short", "long", "drop", "repeat", "reorder", "delay", "reflect",
    "frame", "meaning",
]  # fmt: skip
KINDS: tuple[Kind, ...] = tuple(kind for kind in get_args(Kind) if kind != "meaning")  # of altering a message

_DELAY_SECONDS = 0.05


@dataclass(frozen=True)
class Cheat:
    """``party`` alters the message at ``place``; ``seed`` chooses the word, the bit, the amount."""

    party: Party
    place: str
    kind: Kind = "flip"
    seed: int = 0

    def __str__(self) -> str:
        return f"{self.party}:{self.place}" + (f":{self.kind}" if self.kind != "meaning" else "")


@dataclass(frozen=True)
class Place:
    """A message that a party sends in a session: its name, its size in bytes, whether it belongs to the query."""

    name: str
    size: int
    online: bool


@dataclass
class Tampering:
    """What a cheater has done so far, over all its links: messages are counted by name, one is altered."""

    cheat: Cheat | None
    places: list[Place] = field(default_factory=list)
    altered: str | None = None
    online: bool = False
    _counts: Counter[str] = field(default_factory=Counter)

    def due(self, name: str, size: int) -> bool:
        """Note a message on its way out; whether it is the one to alter."""
        place = f"{name}#{self._counts[name]}" if self._counts[name] else name
        self._counts[name] += 1
        self.online |= name == "mpc.query"
        self.places.append(Place(place, size, self.online))
        return self.cheat is not None and self.altered is None and place == self.cheat.place


class TamperedLink:
    """A :class:`sotto.link.Link` whose owner cheats as ``tampering`` says; otherwise the link it stands for."""

    def __init__(self, inner: Link, tampering: Tampering) -> None:
        self._inner = inner
        self._tampering = tampering
        self._held: tuple[str, bytes] | None = None
        self._heard = b""
        self._damage: int | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._inner, name, value)

    def send(self, name: str, payload: bytes | bytearray | memoryview, *, timeout: float | None = None) -> None:
        for each, data in self._outgoing(name, bytes(payload)):
            self._put(each, data, timeout)

    def _put(self, name: str, data: bytes, timeout: float | None) -> None:
        damage, self._damage = self._damage, None
        if damage is None:
            self._inner.send(name, data, timeout=timeout)
            return
        # A frame that no honest link can write: made honestly, then damaged on its way to the socket.
        self._inner._queue(name, data)
        frame = bytearray(b"".join(self._inner._outgoing))
        frame[damage % (HEADER.size + len(name))] ^= 1 << damage % 8
        self._inner._outgoing[:] = [memoryview(frame)]
        self._inner._flush(name, time.monotonic() + self._inner.timeout)

    def fail(self, reason: str) -> None:
        """A cheater does not warn."""
        if self._tampering.cheat is None:
            self._inner.fail(reason)

    def receive(self, name: str, *, limit: int, timeout: float | None = None) -> bytearray:
        return self.receive_any({name: limit}, timeout=timeout)[1]

    def receive_any(self, limits: Any, *, timeout: float | None = None) -> tuple[str, bytearray]:
        name, payload = self._inner.receive_any(limits, timeout=timeout)
        self._heard = bytes(payload)
        self._tampering.online |= name == "mpc.query"
        return name, payload

    def exchange(
        self, name: str, payload: bytes | bytearray | memoryview, *, limit: int, timeout: float | None = None
    ) -> bytearray:
        honest = bytes(payload)
        reflecting = self._tampering.cheat is not None and self._tampering.cheat.kind == "reflect"
        if reflecting and self._tampering.due(name, len(honest)):  # a rushing party hears before it speaks
            received = self._inner.receive(name, limit=limit, timeout=timeout)
            self._tampering.altered = f"'{name}': sent the peer's own {len(received)} bytes back"
            self._inner.send(name, received, timeout=timeout)
            return received
        sent = self._outgoing(name, honest) if not reflecting else [(name, honest)]
        for each, data in sent:
            self._put(each, data, timeout)
        received = self._inner.receive(name, limit=limit, timeout=timeout)
        if self._tampering.cheat and self._tampering.cheat.kind == "consistent" and sent and sent[0][1] != honest:
            return bytearray(_difference(honest, sent[0][1], bytes(received), name))
        return received

    def _outgoing(self, name: str, honest: bytes) -> list[tuple[str, bytes]]:
        """What goes out instead of one honest message."""
        held, self._held = self._held, None
        after = [held] if held else []
        if not self._tampering.due(name, len(honest)):
            return [(name, honest), *after]
        cheat = self._tampering.cheat
        if cheat is None:
            raise RuntimeError("nobody cheats here")
        chance = random.Random(cheat.seed)  # noqa: S311  an experiment that must repeat
        done, messages = _altered(cheat.kind, name, honest, self._heard, chance)
        self._tampering.altered = f"'{name}': {done}"
        if cheat.kind == "reorder":
            self._held = (name, honest)
        elif cheat.kind == "delay":
            time.sleep(_DELAY_SECONDS)
        elif cheat.kind == "frame":
            self._damage = chance.randrange(1 << 30)
        return [*messages, *after]


@contextmanager
def skip_checks(cheat: Cheat | None) -> Iterator[None]:
    """In this process the checks of mode ``malicious`` never fail while ``cheat`` is on: a cheater does not stop."""
    if cheat is None:
        yield
        return
    with patch.object(MaliciousEvaluation, "require", lambda _self, _holds, _otherwise: None):
        yield


def _altered(
    kind: Kind, name: str, honest: bytes, heard: bytes, chance: random.Random
) -> tuple[str, list[tuple[str, bytes]]]:
    """What is done, in words, and what is sent."""
    size = len(honest)
    match kind:
        case "drop" | "reorder":
            return ("not sent" if kind == "drop" else "held back until after the next message"), []
        case "repeat":
            return "sent twice", [(name, honest), (name, honest)]
        case "delay":
            return f"sent {_DELAY_SECONDS * 1e3:.0f} ms late", [(name, honest)]
        case "frame":
            return "its frame damaged", [(name, honest)]
        case "short":
            return "a byte less", [(name, honest[:-1])]
        case "long":
            return "a byte more", [(name, honest + b"\0")]
        case "zero":
            return f"{size} zeros instead", [(name, bytes(size))]
        case "random":
            return f"{size} random bytes instead", [(name, chance.randbytes(size))]
        case "reflect":
            return "the peer's own words sent back", [(name, (heard * (size // max(1, len(heard)) + 1))[:size])]
        case _ if not size:
            return "nothing to alter", [(name, honest)]
        case "flip":
            bit = chance.randrange(8 * size)
            return f"bit {bit} of {8 * size} flipped", [(name, _xor_bit(honest, bit))]
        case "add" | "consistent" if name.endswith(".sign") or ".and" in name:
            first = 0 if ".and" in name else 7  # the first bit of a byte always stands for a comparison
            bit = 8 * chance.randrange(size) + first
            return f"bit {bit} of {8 * size} flipped", [(name, _xor_bit(honest, bit))]
        case _:
            width = min(8, size)
            place = chance.randrange(max(1, size // 8)) * 8
            amount = chance.randrange(1, 1 << 8 * width)
            word = (int.from_bytes(honest[place : place + width], "little") + amount) % (1 << 8 * width)
            changed = honest[:place] + word.to_bytes(width, "little") + honest[place + width :]
            return f"{amount:#x} added to word {place // 8} of {max(1, size // 8)}", [(name, changed)]


def _xor_bit(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def _difference(honest: bytes, sent: bytes, received: bytes, name: str) -> bytes:
    """``received`` moved as the own message was, so that the cheater's opened value is the victim's."""
    if len(honest) != len(sent) or len(received) != len(honest):
        return received
    if name.endswith(".sign") or len(honest) % 8:
        return bytes(a ^ b ^ c for a, b, c in zip(honest, sent, received, strict=True))
    words = []
    for place in range(0, len(honest), 8):
        a, b, c = (int.from_bytes(data[place : place + 8], "little") for data in (honest, sent, received))
        words.append(((c + b - a) % (1 << 64)).to_bytes(8, "little"))
    return b"".join(words)
