"""Every message of a query altered, either way: caught, or no harm done; never a wrong answer, never a hang."""

import re

import numpy as np
import pytest
from malicious_cheats import (
    EXAMPLE,
    Consistent,
    Once,
    attempt,
    coin_bit,
    empty,
    first_sign,
    flip,
    harmless,
    longer,
    require_caught,
    require_discreet,
    shorter,
    swap_halves,
    winner_bit,
    words_plus,
    zeros,
)
from malicious_parties import Trio, observed
from networks import tiny

from sotto.link import LinkError
from sotto.mpc.errors import CheatingDetected


def messages(cheater):
    """The names of what ``cheater`` sends the other in a query of the tiny network, set-up included."""
    with Trio(tiny(), (4,)) as trio:
        other = "bob" if cheater == "alice" else "alice"
        seen = observed(trio.ends[cheater, other])
        trio.ask(EXAMPLE)
        trio.close()
    return [name for way, name, _ in seen if way == "sent"]


NAMES = {
    "bob": [
        "mpc.plan", "mpc.ranges", "mpc.weights", "mpc.ready", "coin.commitment", "mpc.stocked", "relu1.masked",
        "relu1.sign", "linear2.input", "argmax.masked", "check.commitment", "check.tags", "output",
    ],
    "alice": [
        "mpc.hello", "mpc.provision", "mpc.masked", "coin.commitment", "mpc.query", "input", "relu1.sign",
        "linear2.input", "argmax.masked", "check.commitment", "check.tags",
    ],
}  # fmt: skip
WORD = {"alice": "mpc.masked", "bob": "relu1.masked"}  # where each tells its share of the gate's word
PROTOCOL = {
    who: [name for name in names if name == "mpc.masked" or not name.startswith("mpc.")] for who, names in NAMES.items()
}
FLIPS = {"first": 0.0, "middle": 0.5, "last": 1.0}


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_the_messages_below_are_all_there_are(cheater):
    assert messages(cheater) == NAMES[cheater]


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("place", FLIPS)
def test_a_flipped_bit_of_any_message_of_the_query_is_caught(cheater, place):
    for name in PROTOCOL[cheater]:
        alter = Once(name, flip(FLIPS[place]))
        outcome = attempt(cheater, alter)
        assert alter.done
        if name.endswith((".masked", ".input")) and place == "last" and harmless(*outcome[:2]):
            continue  # the top bit of the high half: no word is wrong
        require_caught(cheater, *outcome)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_a_flipped_bit_of_a_message_of_the_set_up_never_gives_a_wrong_answer(cheater):
    for name in NAMES[cheater]:
        if not name.startswith("mpc."):
            continue
        for place in (0.0, 0.4, 1.0):
            alter = Once(name, flip(place))
            result, bob, sent = attempt(cheater, alter, timeout=1.5)
            assert alter.done
            if not harmless(result, bob):
                require_caught(cheater, result, bob, sent)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("change", [shorter, longer, empty, swap_halves, zeros])
def test_a_message_of_another_size_or_of_other_bytes_is_caught(cheater, change):
    for name in PROTOCOL[cheater]:
        outcome = attempt(cheater, Once(name, change))
        if name.endswith(".sign") and harmless(*outcome[:2]):
            continue  # it was zero, or symmetric, before
        require_caught(cheater, *outcome)


@pytest.mark.slow
@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_a_message_that_never_comes_ends_the_query_in_time(cheater):
    for name in NAMES[cheater]:
        require_caught(cheater, *attempt(cheater, Once(name, lambda payload: None), timeout=1.5))


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("name", ["word", "linear2.input", "argmax.masked"])
@pytest.mark.parametrize("amount", [1, 1 << 32, 1 << 62, 1 << 63])
def test_an_amount_added_to_an_opening_is_caught(cheater, name, amount):
    name = WORD[cheater] if name == "word" else name
    result, bob, sent = attempt(cheater, Once(name, words_plus(amount)))
    require_caught(cheater, result, bob, sent)
    assert isinstance(result if cheater == "bob" else bob, CheatingDetected)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_a_bit_that_both_sides_take_wrongly_is_caught_by_its_tag_alone(cheater):
    """No opening is inconsistent then: only the key Delta that the cheater does not know is in the way."""
    for name, change in (("relu1.sign", first_sign), ("check.commitment", winner_bit)):
        result, bob, sent = attempt(cheater, Once(name, change), altered=Consistent)
        require_caught(cheater, result, bob, sent)
        assert "a comparison's bit is wrong" in str(result if cheater == "bob" else bob)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("amount", [1, 1 << 63])
def test_a_word_that_both_sides_take_wrongly_is_caught_by_its_tag_alone(cheater, amount):
    for name in (WORD[cheater], "linear2.input", "argmax.masked", "output.masked"):
        reveal = "logits" if name == "output.masked" else "class"
        result, bob, sent = attempt(cheater, Once(name, words_plus(amount)), altered=Consistent, reveal=reveal)
        require_caught(cheater, result, bob, sent)
        assert "an opened word is not the one held" in str(result if cheater == "bob" else bob)


def test_bob_learns_nothing_from_a_wrong_label():
    """The other label of any one comparison, or none, ends every query alike, whoever wins it."""
    endings = set()
    for x in (EXAMPLE, -EXAMPLE, EXAMPLE[:, ::-1].copy(), 3 * EXAMPLE):
        for place in (0.0, 0.5, 1.0):
            result, _, _ = attempt("bob", Once("output", flip(place)), x=x)
            endings.add((type(result), str(result)))
    assert len(endings) == 1


def test_the_top_bit_of_the_output_is_never_accepted_changed():
    """With high halves told after the coins, every second one of these was Alice's answer."""
    for _ in range(12):
        alter = Once("output.masked", words_plus(1 << 63))
        result, _, _ = attempt("bob", alter, altered=Consistent, reveal="logits")
        assert isinstance(result, CheatingDetected)


def test_two_changes_that_cancel_modulo_the_word_are_caught():
    module, x = tiny(6), EXAMPLE
    result, _, _ = attempt("bob", Once("relu1.masked", words_plus(1 << 63, (0, 1))), module=module, x=x)
    assert isinstance(result, CheatingDetected)

    def opposite(payload):
        words = np.frombuffer(payload, np.uint64).copy()
        words[:2] += np.array([5, (1 << 64) - 5], np.uint64)
        return words.tobytes()

    result, _, _ = attempt("bob", Once("relu1.masked", opposite), module=module, x=x)
    assert isinstance(result, CheatingDetected)


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("relu1.sign", flip(0.9), "a comparison's bit is wrong"),
        ("relu1.masked", flip(0.0), "an opened word is not the one held|a comparison's bit is wrong"),
        ("argmax.masked", flip(0.0), "an opened word is not the one held|a comparison's bit is wrong"),
        ("coin.commitment", flip(0.5), "the coins are not those committed to"),
        ("argmax.masked", coin_bit, "the coins are not those committed to"),
        ("check.commitment", winner_bit, "a comparison's bit is wrong"),
        ("check.commitment", flip(0.3), "the tags are not those committed to"),
        ("check.tags", flip(0.0), "a comparison's bit is wrong"),
        ("check.tags", flip(0.5), "the tags are not those committed to"),
        ("check.tags", flip(1.0), "the tags are not those committed to"),
        ("output", flip(0.0), "a label of the answer is not the dealer's"),
        ("output", flip(1.0), "a label of the answer is not the dealer's"),
    ],
)
def test_the_check_that_failed_is_named(name, change, check):
    require_named("class", name, change, check)


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("output.masked", flip(0.0), "an opened word is not the one held"),
        ("output", flip(0.0), "the output's mask is not the dealer's"),
        ("output", flip(1.0), "the output's mask is not the dealer's"),
    ],
)
def test_the_check_of_logits_that_failed_is_named(name, change, check):
    require_named("logits", name, change, check)


def require_named(reveal, name, change, check):
    result, bob, _ = attempt("bob", Once(name, change), module=tiny(8), reveal=reveal)
    assert isinstance(result, CheatingDetected)
    assert re.fullmatch(f"bob departed from the protocol: ({check}); the answer stays masked", str(result))
    require_discreet(result)
    assert bob is None or isinstance(bob, LinkError | CheatingDetected)
