"""Values instead of classes: what comes out is within the bound that comes with it."""

import math

import malicious_parties
import masked_parties
import msgspec
import numpy as np
import pytest
import torch
from masked_networks import NETWORKS
from masked_networks import build as build_network
from operator_networks import APPROXIMATE, EXACT, LIMIT, build, features
from torch import nn

from sotto import mpc
from sotto.link import BadValue, FrameError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.error_bound import Unproven, error_bound, proven_error
from sotto.mpc.graph.norm_bound import norms
from sotto.mpc.lowering.capture import trace
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

#: Functions whose parts jump, or divide by what could be 0 for all that intervals tell.
WITHOUT = {
    "log of a wide range", "reciprocal of a wide range", "sqrt", "norm", "deviation", "steps", "choice by sign",
    "rsqrt",
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


#: By name the norm, its input's shape, and a bound that is worth telling.
NORMS = {
    "layer norm": (lambda: nn.LayerNorm(16, eps=1e-5), (16,), 1.0),
    "large epsilon": (lambda: nn.LayerNorm(16, eps=0.1), (16,), 0.02),
    "rms norm": (lambda: nn.RMSNorm(16, eps=1e-3), (16,), 0.1),
    "group norm": (lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.Flatten()), (4, 8), 1.0),
    "instance norm": (lambda: nn.Sequential(nn.InstanceNorm1d(3, affine=True), nn.Flatten()), (3, 12), 1.0),
}


def hard_to_norm(shape, limit, epsilon=1e-5):
    """Inputs of next to no variance, of one outlier, at the limit, and next to where the power of two changes."""
    rng, unit = np.random.default_rng(4), 2.0**-16
    level = rng.uniform(-limit / 2, limit / 2, (400, *(1 for _ in shape)))
    flat = np.broadcast_to(level, (400, *shape))
    outlier = np.zeros((60, *shape))
    outlier.reshape(60, -1)[np.arange(60), rng.integers(0, math.prod(shape), 60)] = limit
    signs = rng.choice([-1.0, 1.0], (400, *shape))
    spreads = np.repeat([math.sqrt(max(4.0**power - epsilon, 0)) for power in range(-8, 2)], 40)
    given = [
        flat,
        flat + unit * rng.integers(-3, 4, (400, *shape)),
        flat + rng.normal(size=(400, *shape)) * 10.0 ** rng.uniform(-5, 0, level.shape),
        outlier,
        limit * signs,
        signs * spreads.reshape(-1, *(1 for _ in shape)),
    ]
    return np.concatenate(given).clip(-limit, limit).astype(np.float32)


@pytest.mark.parametrize("name", NORMS)
def test_no_norm_is_further_off_than_its_bound_whatever_it_is_given(name):
    make, shape, most = NORMS[name]
    torch.manual_seed(1)
    module = make().eval()
    plan, weights = trace(module, shape, input_limit=LIMIT)
    bound, x = error_bound(plan, weights), hard_to_norm(shape, LIMIT)
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    error = np.abs(FixedPointModel(plan, weights, "values").answer(x).scores - expected).max()
    assert error <= bound < most
    with masked_parties.Trio(module.float(), shape, reveal="values", limit=LIMIT) as trio:
        assert np.abs(trio.ask(x).scores - expected).max() <= bound <= trio.alice.error_bound


def test_a_norms_layers_are_bounded_together_or_not_at_all():
    """What is found on the way has no meaning of its own."""
    plan, weights = trace(nn.LayerNorm(8).eval(), (8,), input_limit=LIMIT)
    (norm,) = norms(plan).values()
    assert norm.error(0.0, LIMIT) < norm.error(1e-3, LIMIT) < math.inf
    inside = max(number for number in norm.inner if isinstance(plan.layers[number - 1], layers.Multiply))
    stray = layers.Reshape(inside, (1,))
    with pytest.raises(Unproven, match="a power of two"):
        proven_error(msgspec.structs.replace(plan, layers=(*plan.layers, stray)), weights)


def test_a_norm_has_no_bound_where_factors_are_cut():
    lowered = mpc.LoweredModel.of(nn.LayerNorm(8).eval(), (8,), input_limit=LIMIT)
    assert lowered.error_bits_in("malicious") == lowered.error_bits
    assert lowered.error_bits_in("two-party") is None


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
