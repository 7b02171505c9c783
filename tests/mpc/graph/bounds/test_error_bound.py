"""Values instead of classes: what comes out is within the bound that comes with it."""

import math

import malicious_parties
import masked_parties
import msgspec
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from masked_networks import NETWORKS
from masked_networks import build as build_network
from operator_networks import APPROXIMATE, EXACT, LIMIT, Applied, build, features
from torch import nn

from sotto import mpc
from sotto.link import BadValue, FrameError, LinkError
from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import layers
from sotto.mpc.graph.bounds.error_bound import Unproven, error_bound, proven_error
from sotto.mpc.graph.bounds.function_bound import wide_functions
from sotto.mpc.graph.bounds.mixture_bound import mixture
from sotto.mpc.graph.bounds.norm_bound import norms
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.program import Compare, Truncate
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.lowering.graph_builder import Builder
from sotto.mpc.lowering.linear_builder import Wire
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.protocols.semi_honest.fixed_point_model import FixedPointModel
from tests.error_codes import raises_code

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
    assert error <= bound


#: By name the norm, its input's shape, and a bound that is worth telling.
NORMS = {
    "layer norm": (lambda: nn.LayerNorm(16, eps=1e-5), (16,), 0.2),
    "large epsilon": (lambda: nn.LayerNorm(16, eps=0.1), (16,), 0.01),
    "rms norm": (lambda: nn.RMSNorm(16, eps=1e-3), (16,), 0.02),
    "group norm": (lambda: nn.Sequential(nn.GroupNorm(2, 4), nn.Flatten()), (4, 8), 0.2),
    "instance norm": (lambda: nn.Sequential(nn.InstanceNorm1d(3, affine=True), nn.Flatten()), (3, 12), 0.2),
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


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from([1.0, 2.0, 4.0, 0.5, 0.25, 1e-5, 1e-6, 1e-3, 100.0]) | st.floats(1e-6, 1e3),
    st.integers(1, 40), st.integers(1, 4), st.sampled_from([1.0, 8.0, 64.0]), st.booleans(),
)  # fmt: skip
def test_a_norm_has_a_bound_whatever_its_epsilon_and_size(epsilon, count, rows, limit, centre):
    """A factor of 1, 0, -1 or a power of two is written otherwise than others, or not at all."""
    build = Builder((rows, count), limit, 1e-3)
    normed = build.standardised(Wire(0, (1, rows, count)), [2], epsilon, centre=centre)
    plan, weights, _ = build.plan(build.reshape(normed, (1, rows * count)))
    (norm,) = norms(plan, wide_functions(plan)).values()
    assert (norm.count, len(mpc.function_bounds(plan))) == (count, 1)
    assert norm.epsilon == pytest.approx(epsilon, rel=1e-5)
    x = hard_to_norm((rows, count), limit, epsilon)
    inner = x.astype(np.float64) - (x.astype(np.float64).mean(axis=2, keepdims=True) if centre else 0)
    expected = (inner / np.sqrt((inner**2).mean(axis=2, keepdims=True) + epsilon)).reshape(len(x), -1)
    assert np.abs(Rounded(plan, weights, True).answer(x).scores - expected).max() <= proven_error(plan, weights)


@pytest.mark.parametrize("scale", [0.0, 1.0, -1.0, 0.5, 2.0, -4.0, 0.3])
@pytest.mark.parametrize("name", ["layer norm", "group norm", "deviation", "norm written out", "softmax"])
def test_a_factor_of_what_is_normed_leaves_a_bound(name, scale):
    function, _ = FUNCTIONS[name]
    plan, weights = trace(Applied(lambda self, x: scale * function(scale * x)), (10,), input_limit=1.0)
    x = values_within_one(name)
    expected = scale * function(scale * torch.from_numpy(x).double()).numpy()
    assert np.abs(Rounded(plan, weights, True).answer(x).scores - expected).max() <= proven_error(plan, weights)


def test_what_a_function_is_made_of_means_nothing_alone():
    """Next to a step, what is found on the way can be anything."""
    plan, weights = trace(nn.LayerNorm(8).eval(), (8,), input_limit=LIMIT)
    (norm,) = norms(plan, wide_functions(plan)).values()
    assert norm.error(0.0, LIMIT) < norm.error(1e-3, LIMIT) < math.inf
    bends = [number for number in norm.root.inner if isinstance(plan.layers[number - 1], layers.Bend)]

    def ending_with(number):
        return msgspec.structs.replace(plan, layers=(*plan.layers, layers.Reshape(number, (1,))))

    assert proven_error(ending_with(min(bends)), weights) > 100  # the power of two itself
    with pytest.raises(Unproven, match="next to 0"):
        proven_error(ending_with(sorted(bends)[1]), weights)  # the root of what it scales


def test_a_norm_of_known_variance_has_a_tighter_bound():
    """The condition that a plan states: away from variance 0 an error is hardly magnified."""
    module = nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16)).eval()
    plan, weights = trace(module, (16,), input_limit=LIMIT)
    x = np.random.default_rng(7).uniform(-LIMIT, LIMIT, (625, 16)).astype(np.float32)
    with torch.no_grad():
        expected, inner = (each(torch.from_numpy(x).double()).numpy() for each in (module.double(), module[0]))
    least = float(inner.var(axis=1).min())
    error = np.abs(FixedPointModel(plan, weights, "values").answer(x).scores - expected).max()
    assert error <= proven_error(plan, weights, variance=least) < 0.1 * proven_error(plan, weights)


class Rounded(FixedPointModel):
    """In clear, each gate rounding down or up at a threshold of its own, as the protocols' do."""

    def __init__(self, plan, weights, dealt):
        super().__init__(plan, weights, "values")
        if not dealt:  # as short of bits as a program of this mode gets
            ranges = value_ranges(plan, weights)
            self._program = compile_program(plan, ranges, "values", dealt=False, narrow=True, most=56)
            self._weights, self._biases = weight_words(self._program, weights)
        self._rng = np.random.default_rng(12)

    def _step(self, step, sources, examples):
        if isinstance(step, Compare | Truncate) and step.cut:
            below = self._rng.integers(0, 1 << step.cut, sources[0].shape, dtype=np.uint64)
            sources = [sources[0] + below]
        return super()._step(step, sources, examples)


def applied_to(function, low, high):
    """The function, a range of its argument, and the argument as what a network has of an input within ±1."""
    return lambda x: function((x + 1) * ((high - low) / 2) + low)


#: By name a function of an input within ±1, and how many times the largest error met its bound may be.
FUNCTIONS = {
    "sigmoid": (applied_to(lambda x: torch.sigmoid(x) + 0, -12, 12), 4),
    "tanh": (applied_to(torch.tanh, -8, 8), 4),
    "elu": (applied_to(F.elu, -8, 8), 4),
    "gelu": (applied_to(F.gelu, -8, 8), 4),
    "silu": (applied_to(F.silu, -12, 12), 4),
    "softplus": (applied_to(F.softplus, -12, 12), 4),
    "exp": (applied_to(torch.exp, -8, 2), 8),
    "log": (applied_to(torch.log, 0.05, 8.05), 10),
    "log of a wide range": (applied_to(torch.log, 0.01, 60.01), 20),
    "reciprocal": (applied_to(torch.reciprocal, 0.25, 16.25), 10),
    "reciprocal of a wide range": (applied_to(torch.reciprocal, 0.05, 100.05), 20),
    "square root": (lambda x: torch.sqrt(F.relu(x / 64)), 20),
    "square root of a wide range": (lambda x: torch.sqrt(F.relu(x * 100)), 20),
    "reciprocal root": (applied_to(torch.rsqrt, 0.05, 100.05), 20),
    "softmax": (applied_to(lambda x: x.softmax(dim=1) + 0, -4, 4), 100),
    "log softmax": (applied_to(lambda x: x.log_softmax(dim=1) + 0, -4, 4), 20),
    "deviation": (applied_to(lambda x: x.std(dim=1, keepdim=True), -4, 4), 100),
    "variance": (applied_to(lambda x: x.var(dim=1, keepdim=True), -4, 4), 200),
    "layer norm": (applied_to(lambda x: F.layer_norm(x, (10,)), -4, 4), 100),
    "instance norm": (applied_to(lambda x: F.instance_norm(x.reshape(-1, 2, 5)).flatten(1), -4, 4), 100),
    "group norm": (applied_to(lambda x: F.group_norm(x, 2), -4, 4), 100),
    "rms norm": (applied_to(lambda x: F.rms_norm(x, (10,), eps=1e-5), -4, 4), 100),
    "norm written out": (
        applied_to(lambda x: (x - x.mean(1, keepdim=True)) * torch.rsqrt(x.var(1, keepdim=True) + 1e-3), -4, 4), None
    ),
    "norm by a quotient": (
        applied_to(lambda x: (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 0.1), -4, 4), None
    ),
}  # fmt: skip
DIFFICULT = ("deviation", "variance", "layer norm", "instance norm", "group norm", "rms norm", "norm written out",
             "norm by a quotient")  # fmt: skip


def values_within_one(name):
    """10,000 of them, 10 an example, both ends and their neighbours among them; next to constant where that is hard."""
    rng = np.random.default_rng(5)
    x = rng.uniform(-1, 1, (1000, 10))
    x[:100] = np.where(rng.integers(0, 2, (100, 10)) == 1, 1, -1)
    x[100:300] = (rng.choice([-1, 1], (200, 10)) * (1 - 10.0 ** rng.uniform(-6, -1, (200, 10)))).clip(-1, 1)
    if name in DIFFICULT:
        x[300:700] = rng.uniform(-0.9, 0.9, (400, 1)) + rng.normal(size=(400, 10)) * 10.0 ** rng.uniform(
            -6, -2, (400, 1)
        )
    return x.clip(-1, 1).astype(np.float32)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_ten_thousand_values_of_each_function_are_within_its_bound(name):
    function, slack = FUNCTIONS[name]
    plan, weights = trace(Applied(lambda self, x: function(x)), (10,), input_limit=1.0)
    bound, x = proven_error(plan, weights), values_within_one(name)
    expected = function(torch.from_numpy(x).double()).numpy()
    for dealt in (True, False):
        error = np.abs(Rounded(plan, weights, dealt).answer(x).scores - expected).max()
        assert error <= bound
        assert slack is None or bound <= slack * error


@pytest.mark.parametrize(
    ("function", "limit", "tolerance"),
    [
        (F.selu, 1000.0, 1e-3),
        (lambda x: torch.sqrt(F.relu(x)), 1.0, 0.5),
        (lambda x: torch.sqrt(F.relu(x)), 2.0**-6, 0.2),
        (lambda x: torch.sigmoid(x) + 0, 8.0, 0.2),
        (F.gelu, 8.0, 0.25),
        (F.softplus, 8.0, 0.05),
        (lambda x: F.relu(torch.sqrt(F.relu(x)) - 7.9), 64.0, 0.5),
        (lambda x: F.relu(1 / (F.relu(x) + 0.05) - 20.45), 100.0, 0.1),
        (lambda x: F.relu(F.rms_norm(x.clamp(min=0.9) - 0.9, (10,), eps=0.05) - 3.1), 16.0, 0.1),
    ],
)
def test_a_coarse_curve_and_a_large_argument_are_within_the_bound(function, limit, tolerance):
    plan, weights = trace(Applied(lambda self, x: function(x)), (10,), input_limit=limit, activation_error=tolerance)
    x = np.linspace(-limit, limit, 10_000, dtype=np.float32).reshape(-1, 10)
    expected = function(torch.from_numpy(x).double()).numpy()
    assert np.abs(Rounded(plan, weights, True).answer(x).scores - expected).max() <= proven_error(plan, weights)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("tolerance", [0.5, 0.1, 0.01])
def test_the_sum_of_many_coarse_exponentials_is_no_less_than_what_it_is_divided_for(tolerance, log):
    """Where all but one are as small as they can be, and the curve lies below each."""
    reach, count = -math.log(tolerance / 8) - 0.1, 300
    softmax = F.log_softmax if log else F.softmax
    module = Applied(lambda self, x: softmax(x, dim=1) + 0)
    plan, weights = trace(module, (count,), input_limit=reach / 2, activation_error=tolerance)
    x = np.full((count, count), -reach / 2, np.float32)
    np.fill_diagonal(x, reach / 2)
    expected = softmax(torch.from_numpy(x).double(), dim=1).numpy()
    assert np.abs(Rounded(plan, weights, True).answer(x).scores - expected).max() <= proven_error(plan, weights)


def test_a_softmax_that_is_too_long_for_a_proof_is_refused():
    with raises_code(ModelRefused, "softmax-too-long"):
        Builder((20_000,), 1.0, 1e-3).softmax(Wire(0, (1, 20_000)), 1)


def test_a_softmax_of_one_element_is_one():
    plan, weights = trace(Applied(lambda self, x: x[:, :, None].softmax(dim=2)[:, :, 0] + x), (3,), input_limit=LIMIT)
    assert proven_error(plan, weights) < 5e-4
    assert not plan.curves


@pytest.mark.parametrize("name", ["layer norm", "instance norm", "rms norm", "deviation"])
def test_a_plan_states_the_bound_of_a_function_of_an_exact_argument(name):
    function, _ = FUNCTIONS[name]
    plan, weights = trace(Applied(lambda self, x: function(x)), (10,), input_limit=1.0)
    stated = mpc.function_bounds(plan)
    assert len(stated) == 1
    assert 0 < stated[0].absolute <= proven_error(plan, weights)
    assert ("at a variance of v" in str(stated[0])) == (name != "deviation")


def test_a_plan_states_what_activation_error_sets():
    module = Applied(lambda self, x: torch.tanh(x) + 1 / (x**2 * 64 + 0.25))
    for tolerance in (1e-2, 1e-4):
        plan, _ = trace(module, (6,), input_limit=LIMIT, activation_error=tolerance)
        tanh, reciprocal = sorted(mpc.function_bounds(plan), key=lambda each: each.function, reverse=True)
        assert tanh.absolute <= tolerance + 2.0**-15
        assert reciprocal.function == "reciprocal of a wide range"
        assert reciprocal.relative <= tolerance + 6e-4  # what words of 16 fraction bits add


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


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_gates_do_not_multiply_errors_without_end(kind):
    """All states are within 1, whatever came before."""
    bound, error = measured(Recurrent(kind).eval(), (12, 4), LIMIT)
    assert error <= bound < 2.5


@pytest.mark.parametrize("gate", [lambda x: torch.sigmoid(4 * x), lambda x: x, F.hardsigmoid])
def test_what_lies_between_two_values_is_within_its_bound_whatever_the_gate(gate):
    def function(x):
        first, second = x[:, :5], x[:, 5:]
        return first + gate(x[:, :5].flip(1)) * (second - first)

    plan, weights = trace(Applied(lambda self, x: function(x)), (10,), input_limit=LIMIT)
    x = np.concatenate([features((10,), 300, seed=3), LIMIT * np.sign(features((10,), 300, seed=4))])
    expected = function(torch.from_numpy(x).double()).numpy()
    assert sum(mixture(plan, layer) is not None for layer in plan.layers) == 1
    for dealt in (True, False):
        assert np.abs(Rounded(plan, weights, dealt).answer(x).scores - expected).max() <= proven_error(plan, weights)


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
        raises_code((FrameError, LinkError), "peer-gave-up", match="reveals the class only"),
    ):
        trio.ask(np.zeros((1, 4), np.float32))


def test_mode_crypten_tells_no_values():
    with raises_code(BadValue, "not-revealed"):
        mpc.Alice(None, mode="crypten", reveal="values")
