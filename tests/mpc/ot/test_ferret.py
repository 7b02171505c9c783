"""Silent extension: transfers that fit together, against a reference; nothing repeats and nothing shows."""

from __future__ import annotations

import math
import os
import secrets

import numpy as np

from sotto.link import BadValue, FrameError
from sotto.mpc.errors import ProtocolError
from sotto.mpc.ot import sparse_code
from sotto.mpc.ot.ferret import SilentReceiver, SilentSender, Size, choices_of
from sotto.mpc.ot.sparse_code import MESSAGE, STANDARD, WEIGHT, Noise, add_encoded, places
from tests.error_codes import raises_code

SMALL = Size(Noise(trees=96, depth=10))  # for tests alone: no security in it


def words(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape).copy()


def parties(size=SMALL):
    delta, blocks = words(2), words(size.base, 2)
    choices = (words(size.base) & np.uint64(1)).astype(np.uint8)
    receiver = SilentReceiver.of(choices, blocks ^ choices[:, None] * delta, b"key", size)
    return receiver, SilentSender.of(delta, blocks, b"key", size)


def round_of(receiver, sender):
    message, blocks = sender.extend()
    return message, receiver.extend(message), blocks


def test_blocks_fit_choices_round_after_round():
    receiver, sender = parties()
    for _ in range(3):
        _, hers, his = round_of(receiver, sender)
        choices = choices_of(hers)
        assert len(hers) == len(his) == SMALL.gain
        assert (hers == his ^ choices[:, None] * sender.delta).all()
        assert abs(choices.mean() - 0.5) < 0.05


def test_parameters_of_the_standard_size():
    """The counts that the documentation names, and the cost of guessing rows free of noise: as many as a random code
    needs, and the 43,000 that are left of a sparse one."""
    size = Size()
    assert (size.base, size.gain, size.message_bytes) == (80_836, 789_564, 244_800)
    assert STANDARD.places == 870_400
    missing = MESSAGE - STANDARD.trees  # each block of the noise is one equation more
    guesses = -STANDARD.trees * math.log2(1 - missing / STANDARD.places)
    assert guesses + 2.8 * math.log2(missing) > 128  # times one Gaussian elimination
    sparse = -STANDARD.trees * math.log2(1 - (43_000 - STANDARD.trees) / STANDARD.places)
    assert sparse + 2 * math.log2(43_000) > 128  # times one solution of a sparse system


def test_one_round_of_the_standard_size():
    receiver, sender = parties(Size())
    _, hers, his = round_of(receiver, sender)
    assert (hers == his ^ choices_of(hers)[:, None] * sender.delta).all()


def test_noise_is_one_place_in_each_block_and_the_word_is_the_codes():
    """The definition: choices are the code of the base's choices, plus one 1 a block."""
    receiver, sender = parties()
    base = receiver._base.copy()
    _, hers, _ = round_of(receiver, sender)
    word = np.concatenate([receiver._base, hers])
    summed = np.zeros_like(word)
    indices = places(receiver._code_key, 0, len(word))
    for row in indices.T:
        summed ^= base[row]
    noise = choices_of(word ^ summed).reshape(SMALL.noise.trees, -1)
    assert (noise.sum(axis=1) == 1).all()


def test_encoding_is_linear_and_sums_ten_places():
    key, one, other = secrets.token_bytes(16), words(MESSAGE, 2), words(MESSAGE, 2)
    count = (1 << 14) + 100
    outs = [np.zeros((count, 2), np.uint64) for _ in range(3)]
    for message, out in zip((one, other, one ^ other), outs, strict=True):
        add_encoded(message, key, out)
    assert (outs[0] ^ outs[1] == outs[2]).all()
    rows = places(key, 0, count)
    assert rows.shape == (count, WEIGHT)
    assert (outs[0] == np.bitwise_xor.reduce(one[rows], axis=1)).all()
    assert (places(key, 1 << 14, 100) == rows[1 << 14 :]).all()


def test_places_are_spread_and_another_key_gives_others():
    rows = places(bytes(16), 0, 1 << 16)
    counts = np.bincount(rows.ravel(), minlength=MESSAGE)
    assert abs(counts.mean() - WEIGHT) < 1e-9
    assert counts.max() < 40
    assert (rows != places(bytes([1] * 16), 0, 1 << 16)).mean() > 0.99


def test_what_the_receiver_sees_looks_uniform_and_no_block_comes_twice():
    receiver, sender = parties()
    seen, blocks = [], []
    for _ in range(3):
        message, _, his = round_of(receiver, sender)
        seen.append(np.frombuffer(message, np.uint64).reshape(-1, 2))
        blocks.append(his)
    told = np.concatenate(seen)
    assert len({bytes(row) for row in told}) == len(told)
    assert abs(np.bitwise_count(told).mean() - 32) < 0.2
    every = np.concatenate(blocks)
    assert len({bytes(row) for row in every}) == len(every)
    assert not (every[:, 0] & np.uint64(1)).any()


def test_choices_of_rounds_say_nothing_of_one_another():
    receiver, sender = parties()
    first, second = (choices_of(round_of(receiver, sender)[1]) for _ in range(2))
    assert abs((first ^ second).mean() - 0.5) < 6 * 0.5 / math.sqrt(len(first))


def test_two_directions_under_one_session_key_share_no_round_key():
    delta, blocks = words(2), words(SMALL.base, 2)
    one, other = (SilentSender.of(delta, blocks, b"key" + name, SMALL) for name in (b"alice", b"bob"))
    assert one._code_key != other._code_key
    mine, theirs = (sender._taken()[2].reshape(-1, 2) for sender in (one, other))
    again = one._taken()[2].reshape(-1, 2)
    keys = [bytes(key) for each in (mine, theirs, again) for key in each]
    assert len(set(keys)) == len(keys)


def test_another_number_of_transfers_is_refused_before_anything_is_used():
    receiver, sender = parties()
    message, _ = sender.extend()
    for wrong in (b"", message[:-1], message + b"\0"):
        with raises_code(FrameError, "wrong-count"):
            receiver.extend(wrong)
    assert receiver.rounds == 0
    with raises_code(BadValue, "wrong-number"):
        SilentReceiver.of(np.zeros(5, np.uint8), words(5, 2), b"key", SMALL)


def test_a_forked_process_refuses_to_repeat_its_parents_transfers():
    receiver, sender = parties()
    message, _ = sender.extend()
    child = os.fork()
    if not child:
        refused = 0
        for act in (sender.extend, lambda: receiver.extend(message)):
            try:
                act()
            except ProtocolError:
                refused += 1
        os._exit(0 if refused == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_states_show_nothing_of_themselves():
    receiver, sender = parties()
    assert (repr(receiver), repr(sender)) == ("<SilentReceiver, 0 rounds made>", "<SilentSender, 0 rounds made>")


def test_a_message_of_the_code_has_as_many_places_as_an_index():
    assert np.iinfo(places(bytes(16), 0, 4).dtype).max + 1 == MESSAGE == 1 << 16
    assert sparse_code._AT_ONCE * 2 * WEIGHT % 16 == 0
