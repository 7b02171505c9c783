import copy
import dataclasses
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sotto.keyed import KEY_TYPES, NotEligibleError, encrypt, encrypt_model, generate_key
from sotto.models.networks.patch_cnn import SpectrogramPatchCNN, WavePatchCNN


@st.composite
def model_input_key(draw):
    """A random convolutional model, an input of any length, and a key for it."""
    dimension = draw(st.sampled_from([1, 2]))
    m = draw(st.integers(2, 12 if dimension == 1 else 5))
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    inputs, outputs = groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 5))
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    convolution = nn.Conv1d if dimension == 1 else nn.Conv2d
    torch.manual_seed(draw(st.integers(0, 99)))
    first = convolution(inputs, outputs, m, stride=m, groups=groups, bias=draw(st.booleans()), dtype=dtype)
    model = nn.Sequential(nn.Identity(), first, nn.Tanh(), convolution(outputs, 3, 1, dtype=dtype)).eval()
    lengths = [m * draw(st.integers(1, 4)) + draw(st.integers(0, m - 1)) for _ in range(dimension)]
    x = torch.randn(draw(st.integers(1, 3)), inputs, *lengths, dtype=dtype)
    return model, x, generate_key(draw(st.sampled_from(KEY_TYPES)), m, dimension, seed=draw(st.integers(0, 99)))


@settings(deadline=None, max_examples=100)
@given(model_input_key())
def test_encrypted_model_on_encrypted_input_is_the_plain_model(case):
    """On the whole input, tail included: Flipping to the last bit, the others to rounding."""
    model, x, key = case
    with torch.no_grad():
        plain, private = model(x), encrypt_model(model, key)(encrypt(x, key))
    if key.kind == "flipping":
        assert torch.equal(plain, private)
    else:
        tolerance = 1e-5 if x.dtype == torch.float32 else 1e-13
        torch.testing.assert_close(private, plain, rtol=0, atol=tolerance * max(1.0, float(plain.abs().max())))


@settings(deadline=None, max_examples=30)
@given(model_input_key())
def test_the_original_is_left_alone_and_only_the_kernel_differs(case):
    model, _, key = case
    before = copy.deepcopy(model.state_dict())
    encrypted = encrypt_model(model, key)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
        assert (name == "1.weight") != torch.equal(encrypted.state_dict()[name], value)


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("threads", [1, 2])
def test_on_the_emotion_networks(kind, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for model, x in (
            (WavePatchCNN().eval(), torch.randn(3, 16_004)),
            (SpectrogramPatchCNN().eval(), torch.randn(3, 1, 64, 190)),
        ):
            key = generate_key(kind, 10 if isinstance(model, WavePatchCNN) else 8, 1 if x.dim() == 2 else 2)
            with torch.no_grad():
                plain, private = model(x), encrypt_model(model, key)(encrypt(x, key))
            if kind == "flipping":
                assert torch.equal(plain, private)
            torch.testing.assert_close(private, plain, rtol=0, atol=1e-4)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_half_precision(kind, dtype):
    key = generate_key(kind, 4, 2)
    model = nn.Conv2d(1, 8, 4, 4).to(dtype)
    x = torch.randn(2, 1, 16, 16).to(dtype)
    with torch.no_grad():
        plain, private = model(x), encrypt_model(model, key)(encrypt(x, key))
    assert private.dtype == dtype
    if kind == "flipping":
        assert torch.equal(plain, private)
    assert (plain - private).abs().max() < 0.1


class HubertShaped(nn.Module):
    """The front end of HuBERT with a first stride of 10: bias-free convolutions, group norm after the first, GELU."""

    def __init__(self, scripted_length=False):
        super().__init__()
        shapes = [(1, 32, 10, 10), (32, 32, 3, 2), (32, 32, 3, 2), (32, 32, 2, 2)]
        self.layers = nn.ModuleList(nn.Conv1d(i, o, k, s, bias=False) for i, o, k, s in shapes)
        self.norm = nn.GroupNorm(32, 32)
        self.projection = nn.Linear(32, 24)
        self.untraceable = scripted_length

    def forward(self, waveforms, lengths=None):
        if self.untraceable and float(waveforms.abs().sum()) < 0:
            raise ValueError("never")
        x = waveforms.unsqueeze(1)
        for i, layer in enumerate(self.layers):
            x = layer(x)
            x = F.gelu(self.norm(x) if i == 0 else x)
        features = self.projection(x.transpose(1, 2))
        return {"features": features, "lengths": None if lengths is None else lengths // 80}


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("untraceable", [False, True])
@pytest.mark.parametrize("with_example", [False, True])
def test_on_a_hubert_shaped_front_end(kind, untraceable, with_example):
    model, x, key = HubertShaped(untraceable), torch.randn(2, 8003), generate_key(kind, 10)
    encrypted = encrypt_model(model, key, example=x if with_example else None)
    with torch.no_grad():
        plain, private = model(x)["features"], encrypted(encrypt(x, key))["features"]
    if kind == "flipping":
        assert torch.equal(plain, private)
    torch.testing.assert_close(private, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "key_size", "dimension", "reason"),
    [
        (nn.Conv1d(1, 4, 10, 5), 10, 1, "train the model with kernel = stride = 10"),
        (nn.Conv1d(1, 4, 10, 10, padding=2), 10, 1, "padding 0"),
        (nn.Conv1d(1, 4, 10, 10, dilation=2), 10, 1, "dilation 1"),
        (nn.Conv1d(1, 4, 8, 8), 10, 1, "generate a key of block size 8"),
        (nn.Conv1d(1, 4, 10, 10), 10, 2, "needs a key of dimension 1"),
        (nn.Conv2d(1, 4, 4, 4), 4, 1, "needs a key of dimension 2"),
        (nn.Conv2d(1, 4, (4, 8), (4, 8)), 4, 2, "kernel = stride = 4"),
        (nn.Conv2d(1, 4, 4, (4, 2)), 4, 2, "kernel = stride = 4"),
        (nn.LazyConv1d(4, 10, 10), 10, 1, "run the model once"),
        (nn.Conv1d(1, 4, 10, 10, device="meta"), 10, 1, "load them"),
        (nn.Conv1d(1, 4, 10, 10, dtype=torch.complex64), 10, 1, "in floating point"),
        (nn.Linear(10, 4), 10, 1, "first layer is a convolution with kernel"),
        (nn.Conv3d(1, 4, 10, 10), 10, 1, "no Conv1d or Conv2d"),
        (nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 4, 10, 10)), 10, 1, "remove its parametrization"),
    ],
)
def test_layers_that_cannot_be_encrypted(layer, key_size, dimension, reason):
    with pytest.raises(NotEligibleError, match=reason) as caught:
        encrypt_model(nn.Sequential(layer, nn.ReLU()), generate_key("flipping", key_size, dimension))
    assert "\n" not in str(caught.value)


def test_padding_valid_is_no_padding():
    encrypt_model(nn.Conv1d(1, 4, 10, 10, padding="valid"), generate_key("rom", 10))


def test_a_convolution_with_its_own_forward():
    class Doubling(nn.Conv1d):
        def forward(self, x):
            return 2 * super().forward(x)

    with pytest.raises(NotEligibleError, match="own forward"):
        encrypt_model(nn.Sequential(Doubling(1, 4, 10, 10)), generate_key("flipping", 10))


def test_a_shared_weight():
    one, other = nn.Conv1d(1, 1, 10, 10), nn.Conv1d(1, 1, 10, 10)
    other.weight = one.weight
    with pytest.raises(NotEligibleError, match="shares its weight"):
        encrypt_model(nn.Sequential(one, other), generate_key("flipping", 10))


def test_the_example_finds_another_reader_of_the_input():
    class Bypass(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(1, 4, 10, 10)

        def forward(self, x):
            return self.first(x).mean((1, 2)) + x.mean((1, 2))

    model, key = Bypass(), generate_key("flipping", 10)
    with pytest.raises(NotEligibleError, match="read in 2 places"):
        encrypt_model(model, key)
    with pytest.raises(NotEligibleError, match="something besides the first convolution"):
        encrypt_model(model, key, example=torch.randn(1, 1, 100))


class Untraceable(nn.Module):
    """A convolution, and what else the function given does with the input; branches on its data."""

    def __init__(self, forward):
        super().__init__()
        self.how = forward
        self.first, self.second = nn.Conv1d(1, 8, 10, 10), nn.Conv1d(8, 4, 3)

    def forward(self, x):
        if float(x.abs().max()) < 0:
            raise ValueError("never")
        return self.how(self, x)


@pytest.mark.parametrize(
    "forward",
    [
        lambda m, x: m.second(m.first(x)) + x[..., 20::10],
        lambda m, x: m.second(m.first(x)) * x.abs().mean(),
        lambda m, x: m.second(m.first(x.clamp(-1, 1))),  # a chirp stays as it is, an encrypted one does not
        lambda m, x: F.conv_transpose1d(m.first(x).relu(), m.first.weight, stride=10),
    ],
)
def test_a_second_reader_in_a_model_that_cannot_be_traced(forward):
    with pytest.raises(NotEligibleError, match="something besides the first convolution"):
        encrypt_model(Untraceable(forward), generate_key("rom", 10, seed=1))
    encrypt_model(Untraceable(lambda m, x: m.second(m.first(x))), generate_key("rom", 10, seed=1))


def test_a_weight_that_an_operation_reads_too():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(1, 8, 10, 10)

        def forward(self, x):
            return F.conv_transpose1d(self.first(x), self.first.weight, stride=10)

    with pytest.raises(NotEligibleError, match="something besides the first convolution 'first' uses its weight"):
        encrypt_model(Tied(), generate_key("flipping", 10))


def small():
    return nn.Sequential(nn.Conv1d(1, 8, 10, 10), nn.ReLU(), nn.Conv1d(8, 4, 3))


@pytest.mark.parametrize("layer", [lambda m: m, lambda m: m[0]])
def test_a_hook_that_changes_the_input(layer):
    model = small()
    layer(model).register_forward_pre_hook(lambda _, given: (given[0].abs(),))
    with pytest.raises(NotEligibleError, match="does not get the input as it is"):
        encrypt_model(model, generate_key("flipping", 10))


def test_a_hook_on_a_bare_convolution():
    model = nn.Conv1d(1, 8, 10, 10)
    model.register_forward_pre_hook(lambda _, given: (given[0].abs(),))
    with pytest.raises(NotEligibleError, match="does not get the input as it is"):
        encrypt_model(model, generate_key("flipping", 10))


def test_a_hook_that_only_looks():
    model, key, seen, x = small(), generate_key("flipping", 10), [], torch.randn(2, 1, 100)
    model[2].register_forward_hook(lambda _, __, output: seen.append(output.shape))
    with torch.no_grad():
        assert torch.equal(encrypt_model(model, key)(encrypt(x, key)), model(x))
    assert seen


def test_a_forward_of_one_object():
    model = small()
    model.forward = lambda x: nn.Sequential.forward(model, x.abs())
    with pytest.raises(NotEligibleError):
        encrypt_model(model, generate_key("flipping", 10))


def test_a_compiled_model():
    key, x = generate_key("rom", 10), torch.randn(2, 1, 100)
    bare, used = (torch.compile(model, backend="eager") for model in (nn.Conv1d(1, 4, 10, 10), small()))
    used(x)
    in_place = small()
    in_place.compile(backend="eager")
    with torch.no_grad():
        for model in (bare, used, in_place):
            torch.testing.assert_close(encrypt_model(model, key)(encrypt(x, key)), model(x), rtol=0, atol=1e-5)


def test_a_convolution_that_computes_in_its_own_way():
    class Magnitudes(nn.Conv1d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x.abs(), weight, bias)

    with pytest.raises(NotEligibleError, match="own forward"):
        encrypt_model(nn.Sequential(Magnitudes(1, 4, 10, 10)), generate_key("flipping", 10))


def test_random_numbers_in_evaluation_are_no_difference():
    model = Untraceable(lambda m, x: m.second(m.first(x)) + torch.randn(4, 1))
    state = torch.get_rng_state()
    encrypt_model(model, generate_key("rom", 10))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("training", [True, False])
def test_a_model_that_is_another_one_in_evaluation(training):
    class Normalising(nn.Module):
        def __init__(self, when):
            super().__init__()
            self.when, self.first = when, nn.Conv1d(1, 4, 10, 10)

        def forward(self, x):
            if self.training == self.when:
                x = (x - x.mean()) * torch.hann_window(x.shape[-1])
            return self.first(x)

    key, x = generate_key("rom", 10), torch.randn(2, 1, 100)
    with pytest.raises(NotEligibleError, match="read in 2 places"):
        encrypt_model(Normalising(when=False).train(training), key)
    model = Normalising(when=True).train(training)
    encrypted = encrypt_model(model, key)
    assert encrypted.training == model.training == training
    with torch.no_grad():
        torch.testing.assert_close(encrypted.eval()(encrypt(x, key)), model.eval()(x), rtol=0, atol=1e-5)


def test_a_traced_model_has_to_agree_too():
    class Asking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(1, 4, 10, 10)

        def forward(self, x):
            if isinstance(x, torch.Tensor):  # not while it is traced
                x = x.abs()
            return self.first(x)

    with pytest.raises(NotEligibleError, match="something besides the first convolution"):
        encrypt_model(Asking(), generate_key("rom", 10, seed=1))


def test_a_traced_model_for_one_length_only():
    """It takes none of the usual shapes; what the trace shows is enough."""
    model = nn.Sequential(nn.Conv1d(1, 8, 10, 10), nn.Linear(7, 4))
    key, x = generate_key("rom", 10), torch.randn(2, 1, 70)
    with torch.no_grad():
        torch.testing.assert_close(encrypt_model(model, key)(encrypt(x, key)), model(x), rtol=0, atol=1e-5)


@dataclasses.dataclass
class Scores:
    logits: torch.Tensor | None = None
    length: int = 0


def one_reader(m, x):
    return m.second(m.first(x))


def second_reader(m, x):
    return one_reader(m, x) + x[..., 20::10]


@pytest.mark.parametrize("returned", [Scores, lambda y: [{"a": (Scores(y, 3),)}]])
def test_answers_in_dataclasses_are_compared(returned):
    key = generate_key("rom", 10, seed=1)
    with pytest.raises(NotEligibleError, match="something besides the first convolution"):
        encrypt_model(Untraceable(lambda m, x: returned(second_reader(m, x))), key)
    encrypt_model(Untraceable(lambda m, x: returned(one_reader(m, x))), key)


@pytest.mark.parametrize(
    "returned",
    [
        lambda y: y.argmax(1),
        lambda y: Scores(None, len(y)),
        lambda y: 0 * y,
        lambda y: torch.nan * y,
        lambda y: y[:0],
        lambda y: None,
        lambda y: float(y.sum()),
    ],
)
def test_answers_that_cannot_be_compared(returned):
    key = generate_key("rom", 10, seed=1)
    for forward in (second_reader, one_reader):
        with pytest.raises(NotEligibleError, match="nothing that can be compared"):
            encrypt_model(Untraceable(lambda m, x, forward=forward: returned(forward(m, x))), key)


def test_labels_of_a_traced_model_need_no_comparison():
    class Labels(nn.Sequential):
        def forward(self, x):
            return super().forward(x).argmax(1)

    encrypt_model(Labels(*small()), generate_key("rom", 10))


def test_infinite_scores_are_left_out_of_the_comparison():
    def masked(forward):
        return Untraceable(lambda m, x: F.pad(forward(m, x), (0, 1), value=-torch.inf))

    key = generate_key("rom", 10, seed=1)
    encrypt_model(masked(one_reader), key)
    with pytest.raises(NotEligibleError, match="something besides the first convolution"):
        encrypt_model(masked(second_reader), key)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x: m.first(x)[:, : 1 + int(1e4 * x.abs().max()) % 7], "has another shape"),
        (lambda m, x: m.first(x) if float(x.abs().max()) <= 1 else m.none, "does not run on an input"),
    ],
)
def test_answers_of_other_shapes_and_failures(forward, reason):
    """A chirp is at most 1 and an encrypted one is not; 0.9998 and 1.5, say, give other numbers of channels."""
    with pytest.raises(NotEligibleError, match=f"{reason}.*something besides the first convolution") as caught:
        encrypt_model(Untraceable(forward), generate_key("rom", 10, seed=1))
    assert "\n" not in str(caught.value)


def test_examples_that_show_nothing():
    model, key = Untraceable(second_reader), generate_key("shuffling", 10)
    with pytest.raises(NotEligibleError, match="not all equal"):
        encrypt_model(model, key, example=torch.zeros(1, 1, 100))
    with pytest.raises(NotEligibleError, match="leaves the blocks of the example as they are"):
        encrypt_model(model, key, example=torch.arange(10.0).repeat_interleave(10).reshape(1, 1, 100))


def test_a_model_that_does_not_run_on_whole_blocks():
    """It takes 104 samples, of which the first convolution reads 100."""

    def forward(m, x):
        return one_reader(m, x) if x.shape[-1] % 10 else m.none

    with pytest.raises(NotEligibleError, match="lengths that are multiples of 10"):
        encrypt_model(Untraceable(forward), generate_key("rom", 10), example=torch.randn(1, 1, 104))


def test_a_model_that_cannot_be_copied():
    model = nn.Conv1d(1, 4, 10, 10)
    model.lock = threading.Lock()
    with pytest.raises(NotEligibleError, match="cannot be copied"):
        encrypt_model(model, generate_key("rom", 10))
