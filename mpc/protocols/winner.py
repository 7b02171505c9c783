"""Which class won, told to Alice alone: all pairs of logits are compared at once; who loses to nobody is the answer.

For C classes there are C (C - 1) / 2 comparisons, bits b_kl = [y_k >= y_l] for k < l; class k wins when b_kl is 1 for
all l above it and b_lk is 0 for all l below it, so of equal logits the first wins.  Nobody may learn the bits, and Bob
not even who won.  In each mode Alice is given a *target* for every class, the hash of what she can only know of the
winner; that of another class holds at least one unknown block, so it looks like any other.

Mode ``semi-honest``, one message from Bob: the comparison keys give shares of b · delta (:mod:`sotto.mpc.fss.dcf`),
delta = delta_A xor delta_B odd, uniform and unknown to either.  "k loses to l" is b or b xor 1, and xor 1 is each
party's delta_i on its share; so both parties hold the same block for a pair that k does not lose, and blocks that
differ by delta for any other.  Bob sends the hash of his blocks of every class; of the winner's Alice can make the
same.

Mode ``malicious``: there a Bob could send a wrong hash for one class and see from how Alice ends whether it had won.
So the bits are opened, each under the dealer's bit d, with tags as in any gate (m = b xor d), and the dealer makes two
*labels* of 16 bytes for each comparison, known to Bob.  When all checks have passed Bob sends those of the opened m.
Alice holds the hash of every label, so that she refuses a wrong one by a test that does not depend on d, and as targets
the hashes of the labels with which each class wins.  Bob finds no other label with the same hash; the label that he
does not send is 128 bits unknown to Alice, and so are all targets but the winner's.  Before his check has passed she
has no label at all, and knows nothing but the m.  Source: the labels and the table of a garbled gate (Yao; Bellare,
Hoang and Rogaway 2012, "Foundations of garbled circuits"), here with one row a class, and made by the dealer.

A party that leaves the ranges can make the comparisons contradict each other, and then nobody wins: Alice alone
notices, and is told of a label that is no class.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt

from sotto.mpc.fss.comparison_gate import Bits
from sotto.mpc.graph.program import pairs
from sotto.mpc.sharing.ring import Words

HASH_BYTES = 32
LABEL_WORDS = 2


def index(classes: int, beats: npt.NDArray[np.bool_]) -> Words:
    """The winner (n, 1) by the bits b (n, pairs) in clear; ``classes`` where nobody wins."""
    won = [beats[:, columns] == np.array(wanted, bool) for columns, wanted in _wins(classes)]
    wins = np.stack([each.all(axis=1) for each in won] + [np.ones(len(beats), bool)], axis=1)
    return wins.argmax(axis=1).astype(np.uint64)[:, None]


def targets(classes: int, place: bytes, beats: Words, delta: Words) -> bytes:
    """The hashes, class after class of each example, of a party's shares ``beats`` (n, pairs, 2) of b · delta.

    ``delta`` (2,) is the party's half.
    """
    both = np.stack([beats, beats ^ delta], axis=2)
    return _hashes(classes, place, both, np.zeros(beats.shape[:2], np.uint8))


def label_targets(classes: int, place: bytes, labels: Words, d: Bits) -> bytes:
    """The hashes with which Alice finds the winner: ``labels`` (n, pairs, 2, 2), the bits ``d`` (n, pairs)."""
    return _hashes(classes, place, labels, d)


def label_hashes(place: bytes, labels: Words) -> bytes:
    """The hash of every label of (n, pairs, 2, 2), in order."""
    blocks = labels.reshape(-1, LABEL_WORDS)
    return b"".join(_hash(b"label", place, number, block.tobytes()) for number, block in enumerate(blocks))


def are_labels(place: bytes, given: Words, bits: Bits, hashes: bytes) -> bool:
    """Whether ``given`` (n · pairs, 2) are the labels of the opened ``bits`` (n · pairs,), by the ``hashes`` of all."""
    good = True
    for number, (block, bit) in enumerate(zip(given, bits, strict=True)):
        at = 2 * number + int(bit)
        own = _hash(b"label", place, at, block.tobytes())
        good &= hmac.compare_digest(own, hashes[at * HASH_BYTES : (at + 1) * HASH_BYTES])
    return good


def label_guesses(classes: int, place: bytes, given: Words) -> bytes:
    """The hashes of the one label (n, pairs, 2) of each comparison that Alice has: a target for the winner alone."""
    return _hashes(classes, place, np.stack([given, given], axis=2), np.zeros(given.shape[:2], np.uint8))


def found(classes: int, own: bytes, hashes: bytes) -> Words:
    """The winner (n, 1): the class whose own hash is the one that was given."""
    pairs_of = zip(_split(own), _split(hashes), strict=True)
    equal = np.array([hmac.compare_digest(*both) for both in pairs_of], bool).reshape(-1, classes)
    wins = np.concatenate([equal, np.ones((len(equal), 1), bool)], axis=1)
    return wins.argmax(axis=1).astype(np.uint64)[:, None]


@cache
def _wins(classes: int) -> list[tuple[list[int], list[int]]]:
    """For each class the columns of its comparisons, and what b must be in each."""
    order = pairs(classes)
    columns = [[at for at, pair in enumerate(order) if each in pair] for each in range(classes)]
    return [(own, [int(order[at][0] == each) for at in own]) for each, own in enumerate(columns)]


def _hashes(classes: int, place: bytes, blocks: Words, d: Bits) -> bytes:
    """Of every class the hash of its comparisons' blocks (n, pairs, 2, 2), taken where b xor d says that it wins."""
    wins = _wins(classes)
    return b"".join(
        _hash(b"winner", place, number * classes + each, own[columns, d[number, columns] ^ wanted].tobytes())
        for number, own in enumerate(blocks)
        for each, (columns, wanted) in enumerate(wins)
    )


def _hash(purpose: bytes, place: bytes, number: int, data: bytes) -> bytes:
    head = b"sotto mpc " + purpose + len(place).to_bytes(8, "little") + place
    return hashlib.sha256(head + number.to_bytes(8, "little") + data).digest()


def _split(hashes: bytes) -> Iterator[bytes]:
    return (hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES))
