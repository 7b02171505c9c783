"""Values instead of classes: what comes out is within the bound that comes with it."""

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from masked_networks import NETWORKS
from masked_networks import build as build_network
from operator_networks import APPROXIMATE, EXACT, LIMIT, build, features
from torch import nn

from sotto import mpc
from sotto.link import BadValue, FrameError
from sotto.mpc.graph.error_bound import error_bound
from sotto.mpc.lowering.capture import trace
from sotto.mpc.protocols.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

#: Functions whose parts jump, or divide by what could be 0 for all that intervals tell.
WITHOUT = {
    "log of a wide range", "reciprocal of a wide range", "sqrt", "norm", "deviation", "steps", "choice by sign",
    "layer norm", "layer norm of all", "instance norm", "group norm", "rms norm", "rsqrt",
}  # fmt: skip
MODES = {"semi-honest": masked_parties.Trio, "malicious": malicious_parties.Trio}


def measured(module, shape, limit):
    plan, weights = trace(module, shape, input_limit=limit)
    bound = error_bound(plan, weights)
    x = features(shape, 400, seed=9) * np.float32(limit / LIMIT)
    scores = FixedPointModel(plan, weights, "values").answer(x).scores
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    module.float()
    return bound, float(np.abs(scores - expected).max())


@pytest.mark.parametrize("name", [*EXACT, *APPROXIMATE])
def test_no_value_is_further_off_than_the_bound(name):
    bound, error = measured(*build(name), LIMIT)
    assert (bound is None) == (name in WITHOUT)
    if bound is not None:
        assert error <= bound


@pytest.mark.parametrize("name", NETWORKS)
def test_the_plainest_layers_have_a_bound_too(name):
    bound, error = measured(*build_network(name), 8.0)
    assert error <= bound < 1.0


class Recurrent(nn.Module):
    """The last of many states of a recurrent layer."""

    def __init__(self, kind):
        super().__init__()
        torch.manual_seed(3)
        self.layer = kind(4, 6, batch_first=True)

    def forward(self, x):
        return self.layer(x)[0][:, -1]


@pytest.mark.parametrize(("kind", "most"), [(nn.LSTM, 2.5), (nn.GRU, 12 * 4 + 1)])
def test_gates_do_not_multiply_errors_without_end(kind, most):
    """An LSTM's states are within 1, whatever came before; a GRU's by what intervals show within one more each step."""
    bound, error = measured(Recurrent(kind).eval(), (12, 4), LIMIT)
    assert error <= bound < most


class Affect(nn.Module):
    """Valence and arousal, each a head of its own."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.body, self.valence, self.arousal = nn.Linear(4, 6), nn.Linear(6, 1), nn.Linear(6, 1)

    def forward(self, x):
        x = torch.tanh(self.body(x))
        return {"valence": self.valence(x), "arousal": torch.sigmoid(self.arousal(x)).squeeze(1)}


@pytest.mark.parametrize("mode", MODES)
def test_two_heads_are_told_with_their_bound(mode):
    module = Affect().eval()
    x = np.random.default_rng(2).uniform(-4, 4, (5, 4)).astype(np.float32)
    with MODES[mode](module, (4,), reveal="values", output=("valence", "arousal")) as trio:
        answer = trio.ask(x)
        bound = trio.alice.error_bound
        assert trio.close() == {"bob": None, "dealer": None}
    with torch.no_grad():
        both = module(torch.from_numpy(x))
    expected = torch.cat([both["valence"], both["arousal"][:, None]], dim=1).numpy()
    assert (answer.labels == -1).all()
    assert np.abs(answer.scores - expected).max() <= bound < 0.1


def test_the_class_alone_tells_no_bound():
    with masked_parties.Trio(Affect().eval(), (4,), output="valence") as trio:
        trio.alice.prepare(trio.link)
        assert trio.alice.error_bound is None


def test_a_bob_who_reveals_the_class_only_tells_no_values():
    module = Affect().eval()
    with (
        masked_parties.Trio(module, (4,), output="valence", reveal="values", bob_reveals="class") as trio,
        raises_code((FrameError, mpc.alice.LinkError), "peer-gave-up", match="reveals the class only"),
    ):
        trio.ask(np.zeros((1, 4), np.float32))


def test_mode_crypten_tells_no_values():
    with raises_code(BadValue, "not-revealed"):
        mpc.Alice(None, mode="crypten", reveal="values")
