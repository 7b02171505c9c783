"""The lying link: what goes out instead of an honest message, and that everything else goes through."""

import numpy as np
import pytest

from sotto.link import FrameError, LinkTimeout, pair
from sotto.mpc.attacks.cheats import KINDS, Cheat, TamperedLink, Tampering


def liar(kind, place="masked", seed=1):
    ours, theirs = pair(timeout=0.2)
    tampering = Tampering(Cheat("bob", place, kind, seed))
    return TamperedLink(ours, tampering), theirs, tampering


def words(data):
    return np.frombuffer(data, np.uint64)


HONEST = np.arange(4, dtype=np.uint64).tobytes()


def test_other_messages_go_through_untouched():
    cheater, victim, tampering = liar("random")
    cheater.send("other", HONEST)
    assert victim.receive("other", limit=64) == HONEST
    assert tampering.altered is None
    assert [place.name for place in tampering.places] == ["other"]


def test_a_second_message_of_one_name_is_another_place():
    cheater, victim, tampering = liar("zero", place="masked#1")
    cheater.send("masked", HONEST)
    cheater.send("masked", HONEST)
    assert victim.receive("masked", limit=64) == HONEST
    assert victim.receive("masked", limit=64) == bytes(32)
    assert "zeros" in tampering.altered


@pytest.mark.parametrize(("kind", "changed"), [("add", 1), ("flip", 1), ("zero", 3), ("random", 4)])
def test_words_are_altered(kind, changed):
    cheater, victim, tampering = liar(kind)
    cheater.send("masked", HONEST)
    assert (words(victim.receive("masked", limit=64)) != words(HONEST)).sum() == changed
    assert tampering.altered


@pytest.mark.parametrize("kind", ["add", "consistent", "flip"])
def test_a_bit_message_loses_one_bit(kind):
    cheater, victim, _ = liar(kind, place="relu1.sign")
    victim.send("relu1.sign", b"\0\0")
    cheater.exchange("relu1.sign", b"\0\0", limit=2)
    received = victim.receive("relu1.sign", limit=2)
    assert sum(byte.bit_count() for byte in received) == 1


def test_a_consistent_cheater_opens_the_same_wrong_word():
    cheater, victim, _ = liar("consistent")
    victim.send("masked", HONEST)
    at_cheater = words(HONEST) + words(cheater.exchange("masked", HONEST, limit=64))
    at_victim = words(HONEST) + words(victim.receive("masked", limit=64))
    assert (at_cheater == at_victim).all()
    assert (at_victim != 2 * words(HONEST)).sum() == 1


def test_reflecting_sends_the_peers_words_back():
    cheater, victim, _ = liar("reflect", place="check.commitment")
    victim.send("check.commitment", b"theirs")
    cheater.exchange("check.commitment", b"mine!!", limit=64)
    assert victim.receive("check.commitment", limit=64) == b"theirs"


def test_dropping_repeating_reordering():
    cheater, victim, _ = liar("drop")
    cheater.send("masked", HONEST)
    with pytest.raises(LinkTimeout):
        victim.receive("masked", limit=64)
    cheater, victim, _ = liar("repeat")
    cheater.send("masked", HONEST)
    assert victim.receive("masked", limit=64) == victim.receive("masked", limit=64) == HONEST
    cheater, victim, _ = liar("reorder")
    cheater.send("masked", HONEST)
    cheater.send("next", b"1")
    assert victim.receive("next", limit=64) == b"1"
    assert victim.receive("masked", limit=64) == HONEST


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_frame_is_never_taken_for_the_honest_one(seed):
    cheater, victim, _ = liar("frame", seed=seed)
    cheater.send("masked", HONEST)
    with pytest.raises((FrameError, LinkTimeout)):
        victim.receive("masked", limit=64)


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_message_can_be_cheated_with(kind):
    cheater, _, tampering = liar(kind)
    cheater.send("masked", b"")
    assert tampering.altered
