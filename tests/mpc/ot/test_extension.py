"""Extension: what the parties hold fits together, says nothing of what it must not, and is never the same twice."""

from __future__ import annotations

import os
import secrets

import numpy as np
import pytest

from sotto.link import FrameError
from sotto.mpc.errors import ProtocolError
from sotto.mpc.ot import extension, hashing
from sotto.mpc.ot.extension import BATCH, Sender, receiver_of, sender_of
from tests.error_codes import raises_code

KEY = bytes(range(16))


def parties(depth):
    keys = np.frombuffer(secrets.token_bytes(32 * 128), np.uint8).reshape(128, 2, 16)
    choices = np.frombuffer(secrets.token_bytes(128), np.uint8) & 1
    receiver, message = receiver_of(keys, depth, KEY)
    return receiver, sender_of(choices, keys[np.arange(128), choices], depth, message, KEY)


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("count", [1, 511, 512, 2000])
def test_pads_fit_choices(depth, count):
    receiver, sender = parties(depth)
    for _ in range(2):
        message, choices, chosen = receiver.extend(count)
        both = np.stack(sender.extend(count, message))
        rows = np.arange(count)
        assert chosen.shape == (count, 2)
        assert (both[choices, rows] == chosen).all()
        assert (both[1 - choices, rows] != chosen).any(axis=1).all()


def test_against_a_reference_that_follows_the_definition():
    """w = sum of (x + Delta) r_x over the seeds the sender has, for every transfer and tree by itself."""
    depth, count = 2, 512
    keys = np.frombuffer(secrets.token_bytes(32 * 128), np.uint8).reshape(128, 2, 16)
    choices = np.frombuffer(secrets.token_bytes(128), np.uint8) & 1
    seeds, message = extension.grow(keys, depth, bytes(16))
    known, holes = extension.complete(choices, keys[np.arange(128), choices], depth, message, bytes(16))
    receiver, sender = extension.Receiver(seeds, KEY), Sender(known, holes, KEY)
    sent, bits, pads = receiver.extend(count)
    streams = np.array([[np.frombuffer(extension._stream(s.tobytes()).update(bytes(count // 8)), np.uint8) for s in t]
                        for t in seeds])  # fmt: skip
    r = np.unpackbits(streams, axis=2, bitorder="little")  # (trees, 2^k, count)
    u = np.bitwise_xor.reduce(r, axis=1)
    v = np.array([[np.bitwise_xor.reduce(tree[[x for x in range(4) if x >> b & 1]], axis=0) for b in range(2)]
                  for tree in r]).reshape(128, count)  # fmt: skip
    assert (bits == u[0]).all()
    assert (np.frombuffer(sent, np.uint8) == np.packbits(u[1:] ^ u[0], axis=1, bitorder="little").ravel()).all()
    delta = np.array([[hole >> b & 1 for b in range(2)] for hole in holes]).reshape(128)
    w = v ^ (delta[:, None] & bits)
    first, second = sender.extend(count, sent)
    tweaks = np.arange(count, dtype=np.uint64)
    for block, pad in ((w, first), (w ^ delta[:, None].astype(np.uint8), second), (v, pads)):
        packed = np.packbits(np.ascontiguousarray(block.astype(np.uint8).T), axis=1, bitorder="little").view(np.uint64)
        assert (hashing.hashed_by_openssl(packed, tweaks, KEY) == pad).all()


def test_what_the_sender_sees_of_the_choices_looks_uniform():
    """Corrections that depended on the choice bits would agree with them more or less often than half the time."""
    receiver, _ = parties(4)
    count = 1 << 16
    message, choices, _ = receiver.extend(count)
    rows = np.unpackbits(np.frombuffer(message, np.uint8).reshape(31, -1), axis=1, bitorder="little")
    spread = 6 * 0.5 / np.sqrt(count)
    assert abs(choices.mean() - 0.5) < spread
    assert (abs((rows ^ choices).mean(axis=1) - 0.5) < spread).all()
    assert (abs(rows.mean(axis=1) - 0.5) < spread).all()
    assert len({row.tobytes() for row in rows}) == 31


def test_pads_look_uniform_and_none_comes_twice():
    receiver, sender = parties(4)
    seen = []
    for count in (1000, 1000):
        message, _, chosen = receiver.extend(count)
        seen += [chosen, *sender.extend(count, message)]
    pads = np.concatenate(seen)
    assert len({bytes(row) for row in pads}) == 4000  # both pads of 2,000 transfers; the chosen ones are among them
    assert abs(np.bitwise_count(pads).mean() - 32) < 0.5


def test_messages_of_two_extensions_differ():
    receiver, _ = parties(4)
    assert receiver.extend(512)[0] != receiver.extend(512)[0]


def test_a_forked_process_refuses_to_repeat_its_parents_transfers():
    receiver, sender = parties(4)
    child = os.fork()
    if not child:
        refused = 0
        for act in (lambda: receiver.extend(1), lambda: sender.extend(1, bytes(31 * BATCH // 8))):
            try:
                act()
            except ProtocolError:
                refused += 1
        os._exit(0 if refused == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_message_of_another_size_is_refused_before_anything_is_used():
    receiver, sender = parties(4)
    message, choices, chosen = receiver.extend(600)
    for wrong in (b"", message[:-1], message + b"\0", message[: 31 * BATCH // 8]):
        with raises_code(FrameError, "wrong-count"):
            sender.extend(600, wrong)
    assert (np.stack(sender.extend(600, message))[choices, np.arange(600)] == chosen).all()


def test_a_sender_holds_nothing_at_its_holes():
    """Whatever stands in the place of the missing seed changes nothing but never serves as that seed."""
    receiver, message = receiver_of(np.zeros((128, 2, 16), np.uint8), 4, KEY)
    seeds, holes = extension.complete(np.zeros(128, np.uint8), np.zeros((128, 16), np.uint8), 4, message, bytes(16))
    one, other = Sender(seeds, holes, KEY), Sender(seeds, holes, KEY)
    sent, _, _ = receiver.extend(512)
    assert all((x == y).all() for x, y in zip(one.extend(512, sent), other.extend(512, sent), strict=True))


def test_states_show_nothing_of_themselves():
    receiver, sender = parties(4)
    assert repr(receiver) == "<Receiver <_Streams, 0 transfers made>>"
    assert repr(sender) == "<Sender <_Streams, 0 transfers made>>"
