"""Parties of mode ``malicious`` that cheat in a message, and what must come of it.

A cheater is a link (:class:`Altered`, :class:`Rushing`, :class:`Consistent`) and what it changes (:class:`Once`).
"""

import re

import numpy as np
import torch
from malicious_parties import Altered, Trio, observed
from networks import tiny

from sotto.link import LinkError
from sotto.mpc.errors import MpcError

PATIENCE = 10.0
EXAMPLE = np.array([[1.0, 2.0, -1.0, 0.5]], np.float32)


def right_class(module, x):
    with torch.no_grad():
        return module(torch.tensor(x)).argmax(dim=1).numpy()


COMMITMENT_BYTES = 32
TOLD_FIRST = (
    "relu1.masked",
    "tanh1.masked",
)  # of our networks the gates whose words Alice tells first, as `mpc.masked`


class Rushing(Altered):
    """A party that waits for the other's message before it sends its own: ``alter(name, payload, received)``."""

    def exchange(self, name, payload, *, limit, timeout=None):
        received = self._link.receive(name, limit=limit, timeout=timeout)
        self._link.send(name, self._alter(name, bytes(payload), bytes(received)))
        return received

    def send(self, name, payload, **options):
        self._link.send(name, self._alter(name, bytes(payload), b""), **options)


class Consistent(Altered):
    """A party that goes on as if what it sent were so: both sides then compute with the same wrong word or bit."""

    ahead = None  # how far from hers the words are that Alice told before the query

    def send(self, name, payload, **options):
        sent = self._alter(name, bytes(payload))
        if name == "mpc.masked" and sent != bytes(payload):
            self.ahead = np.frombuffer(sent, np.uint64) - np.frombuffer(payload, np.uint64)
        self._link.send(name, sent, **options)

    def receive(self, name, **options):
        received = self._link.receive(name, **options)
        if name == "mpc.masked" and self._alter.name in TOLD_FIRST:  # Bob will lie about it
            return bytearray(self._alter.change(bytes(received)))
        if self.ahead is None or name not in TOLD_FIRST:
            return received
        return bytearray((np.frombuffer(received, np.uint64) + self.ahead[: len(received) // 8]).tobytes())

    def exchange(self, name, payload, **options):
        sent = self._alter(name, bytes(payload))
        received = self._link.exchange(name, sent, **options)
        if sent == bytes(payload):
            return received
        if name.endswith(".sign") or name == "check.commitment":
            return bytearray(a ^ b ^ c for a, b, c in zip(received, sent, payload, strict=True))
        own, lie, theirs = (np.frombuffer(each, np.uint64) for each in (payload, sent, received))
        return bytearray((theirs + (lie - own)).tobytes())


class Once:
    """Changes the first message of one name by ``change``."""

    def __init__(self, name, change):
        self.name, self.change, self.done = name, change, False

    def __call__(self, name, payload):
        if name != self.name or self.done:
            return payload
        self.done = True
        return self.change(payload)


def flip(place):
    """Flip one bit; ``place`` from 0 (first bit) to 1 (last)."""

    def change(payload):
        changed = bytearray(payload)
        if changed:
            bit = round(place * (8 * len(changed) - 1))
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return change


def words_plus(amount, places=(0,)):
    """Add to words of an opening's low plane, as whole numbers modulo 2^64."""

    def change(payload):
        words = np.frombuffer(payload, np.uint64).copy()
        words[list(places)] += np.uint64(amount)
        return words.tobytes()

    return change


def shorter(payload):
    return payload[:-1]


def longer(payload):
    return payload + b"\0"


def empty(payload):
    return b""


def zeros(payload):
    return bytes(len(payload))


def swap_halves(payload):
    half = len(payload) // 2
    return payload[half:] + payload[:half]


def attempt(cheater, alter, *, module=None, x=EXAMPLE, timeout=PATIENCE, altered=Altered, reveal="class"):
    """Ask once while ``cheater`` cheats: Alice's answer or error, how Bob ended, the names that Bob sent Alice."""
    alter = {cheater: alter}
    with Trio(module or tiny(), (4,), timeout=timeout, alter=alter, altered=altered, reveal=reveal) as trio:
        seen = observed(trio.ends["bob", "alice"])
        try:
            result = trio.ask(x)
        except (LinkError, MpcError) as error:
            result = error
        endings = trio.close()
        return result, endings["bob"], [name for way, name, _ in seen if way == "sent"]


def first_sign(payload):
    """Flip the bit of the first comparison: numpy packs from the top bit."""
    return bytes([payload[0] ^ 0x80]) + payload[1:]


def winner_bit(payload):
    """Flip the first bit of those that are opened behind a commitment."""
    at = COMMITMENT_BYTES
    return payload[:at] + bytes([payload[at] ^ 0x80]) + payload[at + 1 :]


def coin_bit(payload):
    """Flip a bit of the half of the coins that is told behind the last opened words."""
    return payload[:-1] + bytes([payload[-1] ^ 1])


def require_caught(cheater, result, bob, sent):
    """The honest party took nothing: no answer from a cheating Bob, no output for a cheating Alice."""
    if cheater == "bob":
        assert isinstance(result, Exception)
    else:
        assert isinstance(bob, Exception)
        assert "output" not in sent
    for error in (result, bob):
        if isinstance(error, Exception):
            require_discreet(error)


def require_discreet(error):
    """One line, and nothing in it that could be a share, a tag or a key."""
    text = str(error)
    assert "\n" not in text
    assert not re.search(r"\d{5}|0x|\[|b'|\\x", text)


def harmless(result, bob, module=None, x=EXAMPLE):
    """The query went well in spite of it all."""
    if isinstance(result, Exception) or bob is not None:
        return False
    assert (result.labels == right_class(module or tiny(), x)).all(), "a wrong answer was accepted"
    return True


def rushing(alter):
    """What Alice gets from a Bob who sees each of her messages before he sends his own."""
    with Trio(tiny(), (4,), timeout=PATIENCE, alter={"bob": alter}, altered=Rushing) as trio:
        try:
            return trio.ask(EXAMPLE)
        except (LinkError, MpcError) as error:
            return error
