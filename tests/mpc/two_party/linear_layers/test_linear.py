"""Layers under encryption, both parties over a link: shares of W · a, in a message each way a product."""

from __future__ import annotations

import networks
import numpy as np
import pytest
from networks_of_two import program_of, signed
from parties import run_both
from torch import nn

from sotto.link import FrameError, LinkError
from sotto.mpc.errors import ModelRefused
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.sharing import ring
from sotto.mpc.two_party.linear_layers.bfv import Scheme
from sotto.mpc.two_party.linear_layers.linear import AliceLinear, BobLinear, choose_parameters
from tests.error_codes import raises_code

NETWORKS = {
    "conv1d": ((3, 30), nn.Conv1d(3, 5, 4, 2, 1), nn.Flatten(), nn.Linear(75, 3)),
    "conv2d": ((4, 8, 7), nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), groups=2), nn.Flatten(), nn.Linear(144, 3)),
    "tiles": ((1, 122, 122), nn.Conv2d(1, 2, 3), nn.MaxPool2d(8), nn.Flatten(), nn.Linear(450, 3)),
    "matmul": ((4, 6), nn.Linear(6, 5), nn.Flatten(), nn.Linear(20, 2)),
}


def run(module, input_shape, examples=1):
    program, sizes, _, weights = program_of(module.eval(), input_shape, "logits")
    multipliers, _ = weight_words(program, weights)
    parameters = choose_parameters(program, sizes.ring, multipliers)

    def alice(link):
        linear = AliceLinear(program, Scheme(parameters), link)
        return [(linear.send_masks(examples), linear.receive_shares(examples)) for _ in range(2)]

    def bob(link):
        linear = BobLinear(program, Scheme(parameters), link, multipliers)
        return [linear.prepare(examples) for _ in range(2)]

    return program, sizes, multipliers, *run_both(alice, bob)


def prepared(alice):
    """Alice's masks and shares for one example."""
    return alice.send_masks(1), alice.receive_shares(1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("examples", [1, 3])
def test_shares_add_up(name, examples):
    input_shape, *parts = NETWORKS[name]
    program, sizes, multipliers, alice, bob = run(nn.Sequential(*parts), input_shape, examples)
    for (masks, hers), his in zip(alice, bob, strict=True):
        for step in program.products:
            right = ring.product(step.layer, multipliers[step.out], masks[step.out])
            wrong = signed(hers[step.out] + his[step.out] - right, sizes.ring)
            assert hers[step.out].shape == (examples, *step.shape)
            assert abs(wrong).max() <= 1


def test_no_mask_and_no_share_comes_twice():
    program, _, _, alice, bob = run(networks.tiny(), (4,), 5)
    for step in program.products:
        for seen in ([masks for masks, _ in alice], [shares for _, shares in alice], bob):
            every = np.concatenate([each[step.out].ravel() for each in seen])
            assert len(np.unique(every)) == every.size


def test_weights_too_large_to_be_hidden_take_the_large_chain_or_are_refused():
    program, _, _, weights = program_of(networks.tiny(), (4,))
    multipliers, _ = weight_words(program, weights)
    assert not choose_parameters(program, 50, multipliers).large
    large = {out: words << np.uint64(20) for out, words in multipliers.items()}
    assert choose_parameters(program, 50, large).large
    with raises_code(ModelRefused, "weights-too-large", match="linear1"):
        choose_parameters(program, 59, {out: words << np.uint64(46) for out, words in multipliers.items()})


@pytest.mark.parametrize("change", [lambda data: data[:-8], lambda data: data + bytes(8), lambda data: b""])
def test_messages_of_another_size_are_refused_by_either_side(change):
    program, sizes, _, weights = program_of(networks.tiny(), (4,))
    multipliers, _ = weight_words(program, weights)
    parameters = choose_parameters(program, sizes.ring, multipliers)

    def altered(link, name):
        send = link.send
        link.send = lambda n, payload, **kwargs: send(n, change(bytes(payload)) if n == name else payload, **kwargs)
        return link

    for name in ("linear1.mask", "linear2.masked", "he.zero"):
        with pytest.raises(LinkError):
            run_both(
                lambda link, name=name: prepared(AliceLinear(program, Scheme(parameters), altered(link, name))),
                lambda link, name=name: BobLinear(
                    program, Scheme(parameters), altered(link, name), multipliers
                ).prepare(1),
            )


def test_a_mask_that_is_no_ciphertext_is_refused():
    program, sizes, _, weights = program_of(networks.tiny(), (4,))
    multipliers, _ = weight_words(program, weights)
    parameters = choose_parameters(program, sizes.ring, multipliers)

    def alice(link):
        scheme = Scheme(parameters)
        AliceLinear(program, scheme, link)
        link.send("linear1.mask", b"\xff" * scheme.fresh_bytes)

    with raises_code(FrameError, "malformed-ciphertext"):
        run_both(alice, lambda link: BobLinear(program, Scheme(parameters), link, multipliers).prepare(1))
