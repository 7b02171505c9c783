import operator
import threading

import pytest
import torch
from torch import nn

from sotto.keyed import NotEligibleError, find_first_convolution


class Runs(nn.Module):
    """A model whose forward is given."""

    def __init__(self, forward, convolution=None, **layers):
        super().__init__()
        self.how = forward
        self.first = convolution or nn.Conv1d(1, 4, 10, 10)
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x, mask=None):
        return self.how(self, x, mask)


WAVE = torch.randn(2, 1, 50)
FLAT = torch.randn(2, 50)
PLANE = torch.randn(2, 8, 8)

FOUND = [
    (lambda m, x, _: m.first(x), WAVE),
    (lambda m, x, _: m.first(x.unsqueeze(1)), FLAT),
    (lambda m, x, _: m.first(torch.unsqueeze(x, dim=1)), FLAT),
    (lambda m, x, _: m.first(x.reshape(x.shape[0], 1, x.shape[-1])), FLAT),
    (lambda m, x, _: m.first(x.view(x.size(0), 1, x.size(-1))), FLAT),
    (lambda m, x, _: m.first(torch.reshape(x, (-1, 1, x.shape[-1]))), FLAT),
    (lambda m, x, _: m.first(x.contiguous()) * x.shape[0], WAVE),
    (lambda m, x, _: m.first(x[:, None]), FLAT),
    (lambda m, x, _: m.first(x[:, None, :]), FLAT),
    (lambda m, x, _: m.first(x[:, None, ...].float()), FLAT),
    (lambda m, x, _: m.first(x.to(torch.float32)), WAVE),
    (lambda m, x, _: m.first(x.to(x.device, x.dtype)), WAVE),
    (lambda m, x, _: m.first(x.unsqueeze(1).to(dtype=m.first.weight.dtype)), FLAT),
    (lambda m, x, mask: m.first(x) if mask is None else m.first(x) * mask, WAVE),
]


@pytest.mark.parametrize(("forward", "x"), FOUND)
def test_found_by_tracing_and_by_running(forward, x):
    model = Runs(forward)
    assert find_first_convolution(model) == "first"
    assert find_first_convolution(model, example=x) == "first"


REFUSED = [
    (lambda m, x, _: m.first(x * 2), "'mul' works on the input"),
    (lambda m, x, _: m.first(x - x.mean()), "read in 2 places"),
    (lambda m, x, _: m.first(m.norm(x)), "layer 'norm' \\(BatchNorm1d\\) works on the input"),
    (lambda m, x, _: m.first(x.flip(-1)), "'flip' works on the input"),
    (lambda m, x, _: m.first(x[:, 1:]), "'getitem' works on the input"),
    (lambda m, x, _: m.first(x[:, :, None]), "'getitem' works on the input"),
    (lambda m, x, _: m.first(x[..., None]), "'getitem' works on the input"),
    (lambda m, x, _: m.first(x[0]), "'getitem' works on the input"),
    (lambda m, x, _: m.first(x.to(torch.int64)), "'to' works on the input"),
    (lambda m, x, _: m.first(x) + m.first(x), "read in 2 places"),
    (lambda m, x, _: m.other(m.first(m.first(x).reshape(2, 1, -1))), "used more than once"),
    (lambda m, x, _: m.first(x.reshape(2, 1, 50)), "a reshape before the first convolution"),
    (lambda m, x, _: m.first(x.reshape(x.shape[0], 1, x.shape[1])), "a reshape before the first convolution"),
    (lambda m, x, _: x * 2, "'mul' works on the input"),
    (lambda m, x, _: x, "the output works on the input"),
    (lambda m, x, _: m.first(m.first.weight), "read in 0 places"),
]


@pytest.mark.parametrize(("forward", "reason"), REFUSED)
def test_refused_by_tracing(forward, reason):
    model = Runs(forward, norm=nn.BatchNorm1d(1), other=nn.Conv1d(4, 4, 1))
    with pytest.raises(NotEligibleError, match=reason) as caught:
        find_first_convolution(model)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x, _: m.first(x * 2), "does not get the input as it is"),
        (lambda m, x, _: m.first(x.flip(-1)), "does not get the input as it is"),
        (lambda m, x, _: m.first(x) + m.first(x), "used more than once"),
        (lambda m, x, _: x * 2, "no Conv1d or Conv2d was reached"),
    ],
)
def test_refused_by_running(forward, reason):
    with pytest.raises(NotEligibleError, match=reason):
        find_first_convolution(Runs(forward), example=WAVE)


def test_a_transposed_spectrogram_is_noticed():
    """The same numbers in other blocks: equal as a list only if the spectrogram is constant."""
    model = Runs(lambda m, x, _: m.first(x.transpose(1, 2).unsqueeze(1)), nn.Conv2d(1, 4, 4, 4))
    with pytest.raises(NotEligibleError, match="'transpose' works on the input"):
        find_first_convolution(model)
    with pytest.raises(NotEligibleError, match="does not get the input as it is"):
        find_first_convolution(model, example=PLANE)


def test_a_trace_is_of_the_model_in_evaluation():
    """The caller's mode says nothing about how the model is used, and stays as it is."""
    changed = Runs(lambda m, x, _: m.first(x if m.training else x * torch.hann_window(50)))
    plain = Runs(lambda m, x, _: m.first(x * torch.hann_window(50) if m.training else x))
    for mode in (True, False):
        with pytest.raises(NotEligibleError, match="'mul' works on the input"):
            find_first_convolution(changed.train(mode))
        assert find_first_convolution(plain.train(mode)) == "first"
        assert plain.training == changed.training == mode


def untraceable(m, x, _):
    return m.first(x) if float(x.sum()) > -1e9 else x


def test_untraceable_models_are_run_and_watched():
    assert find_first_convolution(Runs(untraceable)) == "first"
    assert find_first_convolution(nn.Sequential(nn.Dropout(), Runs(untraceable))) == "1.first"
    assert find_first_convolution(nn.Sequential(nn.LeakyReLU(1.0), Runs(untraceable))) == "1.first"  # changes nothing


def test_the_order_of_registration_is_not_relied_upon():
    """The convolution is registered first and runs second; nothing in the list of layers shows it."""
    model = Runs(lambda m, x, _: m.first(m.norm(x)) if float(x.sum()) > -1e9 else x, norm=nn.BatchNorm1d(1))
    model.norm.weight.data += 1
    with pytest.raises(NotEligibleError, match="does not get the input as it is"):
        find_first_convolution(model)
    registered_last = Runs(lambda m, x, _: untraceable(m, x, _) * m.late.weight.sum(), late=nn.BatchNorm1d(1))
    assert find_first_convolution(registered_last) == "first"


def test_untraceable_models_of_unusual_shapes_need_an_example():
    model = Runs(lambda m, x, _: untraceable(m, x[:, :, : x.shape[-1] if x.shape == (2, 1, 50) else "none"], _))
    with pytest.raises(NotEligibleError, match="pass example="):
        find_first_convolution(model)
    assert find_first_convolution(model, example=WAVE) == "first"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_scripted_models_are_refused():
    with pytest.raises(NotEligibleError, match="encrypt the model it was scripted from"):
        find_first_convolution(torch.jit.trace(nn.Sequential(nn.Conv1d(1, 4, 10, 10)), WAVE))


def test_untraceable_models_without_a_convolution():
    class Nothing(nn.Module):
        def forward(self, x):
            return x if float(x.sum()) > 0 else -x

    with pytest.raises(NotEligibleError, match="no Conv1d or Conv2d"):
        find_first_convolution(Nothing())


def test_a_bare_convolution_and_a_nested_one():
    assert find_first_convolution(nn.Conv2d(1, 2, 3, 3)) == ""
    nested = nn.Sequential(nn.Sequential(nn.Identity(), nn.Sequential(nn.Conv1d(1, 2, 3, 3))), nn.ReLU())
    assert find_first_convolution(nested) == "0.1.0"


def test_running_leaves_the_model_as_it_was():
    model = Runs(lambda m, x, _: m.norm(m.first(x)), norm=nn.BatchNorm1d(4)).train()
    before = model.norm.running_mean.clone()
    find_first_convolution(model, example=WAVE)
    assert model.training
    assert torch.equal(model.norm.running_mean, before)
    assert not model.first._forward_pre_hooks


def test_shape_arithmetic_is_no_reading():
    model = Runs(lambda m, x, _: m.first(x).sum(2) / operator.floordiv(x.shape[-1], 10))
    assert find_first_convolution(model) == "first"


@pytest.mark.parametrize("value", [0.0, 1.0, torch.nan, torch.inf])
def test_an_example_that_shows_nothing(value):
    """Equal numbers are the same in any order."""
    model = Runs(lambda m, x, _: m.first(x.flip(-1)))
    with pytest.raises(NotEligibleError, match="finite values, not all equal"):
        find_first_convolution(model, example=torch.full((2, 1, 50), value))


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        (torch.randint(5, (2, 1, 50)), "floating-point tensor"),
        (torch.empty(0, 1, 50), "floating-point tensor"),
        (WAVE.numpy(), "floating-point tensor"),
        (WAVE[..., :9], r"does not run on the example of shape \(2, 1, 9\)"),
        (WAVE.expand(2, 3, 50), r"does not run on the example of shape \(2, 3, 50\)"),
        (WAVE.double(), "pass a typical input with its batch axis"),
    ],
)
def test_an_example_that_the_model_does_not_take(example, reason):
    with pytest.raises(NotEligibleError, match=reason) as caught:
        find_first_convolution(Runs(untraceable), example=example)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("forward", [lambda m, x, _: m.late(m.first(x)), lambda m, x, _: m.late(untraceable(m, x, _))])
@pytest.mark.parametrize("example", [None, WAVE])
def test_a_model_that_cannot_be_copied(forward, example):
    """Weight norm of the old style keeps a weight that deepcopy refuses, until it is computed without gradients."""
    model = Runs(forward, late=nn.utils.weight_norm(nn.Conv1d(4, 4, 3)))
    model(WAVE).sum().backward()
    with pytest.raises(NotEligibleError, match="with weight norm in it, run it once under") as caught:
        find_first_convolution(model, example=example)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300
    with torch.no_grad():
        model(WAVE)
    assert find_first_convolution(model, example=example) == "first"


def test_a_model_with_something_in_it_that_cannot_be_copied():
    model = Runs(untraceable)
    model.lock = threading.Lock()
    with pytest.raises(NotEligibleError, match=r"cannot be copied \(TypeError: .*lock.*take out"):
        find_first_convolution(model)
