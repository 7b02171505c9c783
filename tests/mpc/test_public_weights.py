"""Weights that everybody knows: the same answers, no product opened, nothing of them from the dealer, lies noticed."""

import malicious_parties
import masked_networks
import masked_parties
import numpy as np
import pytest
from malicious_cheats import Once, flip, require_discreet, words_plus
from networks import tiny
from test_operator_tampering import Gates

from sotto import mpc
from sotto.link import BadValue, LinkError
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.protocols.malicious.segments import bundle_bytes
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

MODES = {"semi-honest": masked_parties.Trio, "malicious": malicious_parties.Trio}
EXAMPLES = np.random.default_rng(3).uniform(-4, 4, (3, 4)).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["mixed", "pooled", "residual", "bare", "shared", "planar", "norm first", "more axes"])
def test_the_answers_are_those_of_secret_weights(name, mode):
    module, shape = masked_networks.build(name)
    x = np.random.default_rng(1).uniform(-4, 4, (3, *shape)).astype(np.float32)
    expected = FixedPointModel.of(module, shape, input_limit=8.0, reveal="logits").answer(x).scores
    with MODES[mode](module, shape, reveal="logits", weights="public") as trio:
        found = trio.ask(x).scores
        seen = masked_parties.observed(trio.link)
        trio.ask(x)
        assert trio.close() == {"bob": None, "dealer": None}
    assert np.abs(found - expected).max() <= 2e-3
    assert not [name for _, name, _ in seen if name.endswith(".input")]


@pytest.mark.parametrize("mode", MODES)
def test_curves_products_and_tensors_alone_run_beside_public_weights(mode):
    module = Gates().eval()
    expected = FixedPointModel.of(module, (4,), input_limit=8.0, reveal="logits").answer(EXAMPLES).scores
    with MODES[mode](module, (4,), reveal="logits", weights="public") as trio:
        assert np.abs(trio.ask(EXAMPLES).scores - expected).max() <= 2e-2
        assert trio.close() == {"bob": None, "dealer": None}


def test_the_dealer_has_less_to_do():
    module, shape = masked_networks.build("mixed")
    sizes = []
    for weights in ("secret", "public"):
        terms = mpc.Bob(module, None, input_shape=shape, weights=weights).terms()
        program = compile_program(terms.plan, terms.ranges, terms.reveal)
        sizes.append(bundle_bytes(program, 1, 1))
        assert bool(program.products) == (weights == "secret")
    assert sizes[1] < sizes[0]


@pytest.mark.parametrize("change", [flip(0.0), flip(0.6), words_plus(1)])
def test_a_bob_who_tells_other_weights_than_he_uses_is_caught(change):
    alter = {"bob": Once("mpc.public", change)}
    with malicious_parties.Trio(tiny(), (4,), weights="public", alter=alter) as trio:
        with pytest.raises((mpc.MpcError, LinkError)) as said:
            trio.ask(EXAMPLES)
        require_discreet(said.value)


def test_crypten_keeps_weights_secret():
    with raises_code(BadValue, "secret-weights"):
        mpc.Bob(tiny(), None, input_shape=(4,), mode="crypten", weights="public")
