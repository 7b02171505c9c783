"""The fixed point's range: no input within the limit can leave it, and what could is refused."""

import networks
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.mpc.errors import InputRefused, ModelRefused
from sotto.mpc.graph import fixed_point
from sotto.mpc.lowering.capture import trace
from tests.error_codes import raises_code


def bounds_of(module, shape, limit):
    """The bound that the check works out for every value; read off its own walk."""
    seen = [limit]
    real = fixed_point._bound
    plan, weights = trace(module, shape, input_limit=limit)

    def spy(*arguments):
        seen.append(real(*arguments))
        return seen[-1]

    fixed_point._bound = spy
    try:
        fixed_point.require_range(plan, weights)
    finally:
        fixed_point._bound = real
    return seen


@settings(max_examples=12, deadline=None)
@given(st.sampled_from(["mixed", "pooled", "depinto"]), st.floats(0.5, 100), st.integers(0, 2**32))
def test_no_input_within_the_limit_exceeds_the_bound(name, limit, seed):
    module, shape = networks.build(name), networks.INPUT_SHAPES[name]
    bound = bounds_of(module, shape, limit)[-1]
    generator = torch.Generator().manual_seed(seed)
    x = (torch.randint(0, 2, (64, *shape), generator=generator) * 2.0 - 1.0) * limit
    with torch.no_grad():
        assert module(x).abs().max() <= bound * (1 + 1e-5)


def test_the_bound_of_one_linear_layer_is_reached():
    linear = nn.Linear(3, 1, bias=True)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[2.0, -3.0, 0.5]]))
        linear.bias.fill_(-1.0)
    assert bounds_of(linear, (3,), 4.0) == [4.0, 5.5 * 4 + 1]


def test_a_network_that_could_overflow_is_refused():
    steep = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)).eval()
    with torch.no_grad():
        for part in steep:
            part.weight.fill_(5e3)
    plan, weights = trace(steep, (4,), input_limit=1.0)
    fixed_point.require_range(plan, weights)
    plan, weights = trace(steep, (4,), input_limit=128.0)
    with raises_code(ModelRefused, "out-of-range", match=r"layer 1 \(Linear\) can reach"):
        fixed_point.require_range(plan, weights)


@pytest.mark.parametrize("exponent", [14, 19])
def test_truncation_goes_wrong_as_rarely_as_stated_and_by_as_much(exponent):
    count = 1 << 21
    generator = torch.Generator().manual_seed(5)
    product = torch.full((count,), 2**exponent << (2 * fixed_point.FRACTION_BITS))
    first = torch.randint(-(2**63), 2**63 - 1, (count,), generator=generator)
    second = product - first
    scale = 2**fixed_point.FRACTION_BITS
    result = first.div(scale, rounding_mode="trunc") + second.div(scale, rounding_mode="trunc")
    error = (result - (product >> fixed_point.FRACTION_BITS)).abs()
    wrong = error > 1
    expected = count * 2.0 ** (exponent - 32)
    assert abs(wrong.sum().item() - expected) <= 6 * expected**0.5 + 6
    assert ((error[wrong] - 2**48).abs() <= 1).all()


def test_features_at_the_limit_go_in_and_beyond_it_are_clipped_with_a_warning():
    plan, _ = trace(nn.Linear(4, 2), (4,), input_limit=8.0)
    x = np.full((2, 4), -8.0)
    values, warnings = fixed_point.checked_features(x, plan)
    assert (values.dtype, warnings) == (np.float32, ())
    values, (warning,) = fixed_point.checked_features(x * 1.001, plan)
    assert (values == -8.0).all()
    assert warning.startswith("8 of 8 feature values lay outside [-8, 8]")
    assert "8.008" not in warning  # no value of hers in a message
    odd = np.array([[np.nan, np.inf, -np.inf, 3.0]])
    values, (warning,) = fixed_point.checked_features(odd, plan)
    assert values.tolist() == [[0.0, 8.0, -8.0, 3.0]]
    assert warning.startswith("3 of 4 feature values are NaN or infinite")
    for other in (x[:, :3], x[0], x[:0], "speech", x * 1j):
        with pytest.raises(InputRefused):
            fixed_point.checked_features(other, plan)


@pytest.mark.parametrize(
    ("module", "shape", "named"),
    [
        (nn.Sequential(nn.Linear(4, 2), nn.Softmax(dim=1)), (4,), "softmax"),
        (nn.Sequential(nn.Linear(4, 4), nn.Sigmoid(), nn.Linear(4, 2)), (4,), "sigmoid"),
        (nn.Sequential(nn.Conv3d(1, 2, 2), nn.Flatten()), (1, 2, 2, 2), "Convolution over three axes"),
    ],
)
def test_what_crypten_has_not_is_refused_by_name(module, shape, named):
    plan, _ = trace(module, shape, input_limit=8.0)
    with raises_code(ModelRefused, "not-in-mode", match=f"mode 'crypten' has no {named}"):
        fixed_point.require_crypten_layers(plan)
