"""Every message of the gates for curves and for products of secrets, altered either way: caught, or no harm done."""

import numpy as np
import pytest
import torch
from malicious_cheats import (
    EXAMPLE,
    Consistent,
    Once,
    attempt,
    first_sign,
    flip,
    harmless,
    require_caught,
    shorter,
    words_plus,
    zeros,
)
from malicious_parties import Trio, observed
from torch import nn

from sotto.mpc.errors import CheatingDetected


class Gates(nn.Module):
    """A curve, a square, a product, a matrix product and a tensor of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(4)
        self.first, self.head = nn.Linear(4, 4), nn.Linear(4, 2)
        self.own = nn.Parameter(torch.tensor([0.5, -0.25, 0.125, 1.0]))

    def forward(self, x):
        x = self.first(x)
        y = torch.tanh(x) * x + x.square()
        z = y.reshape(-1, 2, 2)
        return self.head((z @ z.transpose(1, 2)).flatten(1) + self.own)


MESSAGES = ["tanh1.masked", "tanh1.sign", "times1.masked", "square1.masked", "matmul1.masked"]


def told_by(cheater, name):
    """Alice tells her share of the curve's word before the query."""
    return "mpc.masked" if (cheater, name) == ("alice", "tanh1.masked") else name


def module():
    return Gates().eval()


def right(result, bob):
    return harmless(result, bob, module())


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_the_messages_below_are_all_that_the_gates_send(cheater):
    with Trio(module(), (4,)) as trio:
        seen = observed(trio.ends[cheater, "bob" if cheater == "alice" else "alice"])
        trio.ask(EXAMPLE)
        trio.close()
    sent = {name for way, name, _ in seen if way == "sent"}
    gates = {name for name in sent if name.startswith(("tanh", "times", "square", "matmul", "mpc.masked"))}
    assert gates == {told_by(cheater, name) for name in MESSAGES}


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("change", [flip(0.0), flip(0.5), zeros, shorter])
@pytest.mark.parametrize("name", MESSAGES)
def test_an_altered_message_is_caught(cheater, change, name):
    alter = Once(told_by(cheater, name), change)
    outcome = attempt(cheater, alter, module=module())
    assert alter.done
    if name.endswith(".sign") and right(*outcome[:2]):
        return  # it was zero before
    require_caught(cheater, *outcome)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("amount", [1, 1 << 32, 1 << 63])
@pytest.mark.parametrize("name", [name for name in MESSAGES if name.endswith(".masked")])
def test_a_word_that_both_sides_take_wrongly_is_caught_by_its_tag_alone(cheater, amount, name):
    alter = Once(told_by(cheater, name), words_plus(amount))
    result, bob, sent = attempt(cheater, alter, module=module(), altered=Consistent)
    require_caught(cheater, result, bob, sent)
    assert "an opened word is not the one held" in str(result if cheater == "bob" else bob)


@pytest.mark.parametrize("place", [2, 3])
def test_the_second_factor_of_a_product_is_checked_as_the_first_is(place):
    """The factors follow one another, each with a low and a high plane of four words."""
    alter = Once("times1.masked", words_plus(5, (place * 4,)))
    result, _, _ = attempt("bob", alter, module=module())
    if place == 2:
        assert isinstance(result, CheatingDetected)
    else:
        assert isinstance(result, CheatingDetected) or right(
            result, None
        )  # a high plane: modulo 2^128 it is checked too


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("change", [first_sign, flip(0.3), flip(0.7)])
def test_a_bit_of_any_knot_that_both_sides_take_wrongly_is_caught_by_its_tag_alone(cheater, change):
    result, bob, sent = attempt(cheater, Once("tanh1.sign", change), module=module(), altered=Consistent)
    require_caught(cheater, result, bob, sent)
    assert "a comparison's bit is wrong" in str(result if cheater == "bob" else bob)


@pytest.mark.parametrize("knot", range(0, 30, 7))
def test_each_knot_has_a_bit_and_a_tag_of_its_own(knot):
    def change(payload):
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))
        bits[4 * knot + 1] ^= 1
        return np.packbits(bits).tobytes()

    result, _, _ = attempt("bob", Once("tanh1.sign", change), module=module(), altered=Consistent)
    assert isinstance(result, CheatingDetected)
