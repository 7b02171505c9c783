import copy
import dataclasses
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from sotto.keyed import KEY_TYPES, NotEligibleError, encrypt, encrypt_model, find_first_convolution, generate_key
from sotto.models.networks.patch_cnn import SpectrogramPatchCNN, WavePatchCNN
from tests.error_codes import raises_code

WAVE = torch.randn(2, 1, 100, generator=torch.Generator().manual_seed(0))
REFUSED = "something besides the first convolution"


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
        plain, private = model(x), encrypt_model(model, key, example=x)(encrypt(x, key))
    if key.kind == "flipping":
        assert torch.equal(plain, private)
    else:
        tolerance = 1e-5 if x.dtype == torch.float32 else 1e-13
        torch.testing.assert_close(private, plain, rtol=0, atol=tolerance * max(1.0, float(plain.abs().max())))


@settings(deadline=None, max_examples=30)
@given(model_input_key())
def test_the_original_is_left_alone_and_only_the_kernel_differs(case):
    model, x, key = case
    before = copy.deepcopy(model.state_dict())
    encrypted = encrypt_model(model, key, example=x)
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
                plain, private = model(x), encrypt_model(model, key, example=x)(encrypt(x, key))
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
        plain, private = model(x), encrypt_model(model, key, example=x)(encrypt(x, key))
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
def test_on_a_hubert_shaped_front_end(kind, untraceable):
    model, x, key = HubertShaped(untraceable), torch.randn(2, 8003), generate_key(kind, 10)
    encrypted = encrypt_model(model, key, example=x)
    with torch.no_grad():
        plain, private = model(x)["features"], encrypted(encrypt(x, key))["features"]
    if kind == "flipping":
        assert torch.equal(plain, private)
    torch.testing.assert_close(private, plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("layer", "key_size", "dimension", "reason"),
    [
        (nn.Conv1d(1, 4, 10, 5), 10, 1, "wrong-geometry"),
        (nn.Conv1d(1, 4, 10, 10, padding=2), 10, 1, "wrong-geometry"),
        (nn.Conv1d(1, 4, 10, 10, dilation=2), 10, 1, "wrong-geometry"),
        (nn.Conv1d(1, 4, 8, 8), 10, 1, "wrong-block-size"),
        (nn.Conv1d(1, 4, 10, 10), 10, 2, "wrong-dimension"),
        (nn.Conv2d(1, 4, 4, 4), 4, 1, "wrong-dimension"),
        (nn.Conv2d(1, 4, (4, 8), (4, 8)), 4, 2, "wrong-geometry"),
        (nn.Conv2d(1, 4, 4, (4, 2)), 4, 2, "wrong-geometry"),
        (nn.LazyConv1d(4, 10, 10), 10, 1, "no-weights"),
        (nn.Conv1d(1, 4, 10, 10, device="meta"), 10, 1, "no-weights"),
        (nn.Conv1d(1, 4, 10, 10, dtype=torch.complex64), 10, 1, "no-weights"),
        (nn.Linear(10, 4), 10, 1, "no-convolution"),
        (nn.Conv3d(1, 4, 10, 10), 10, 1, "no-convolution"),
        (nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 4, 10, 10)), 10, 1, "parametrized"),
    ],
)
def test_layers_that_cannot_be_encrypted(layer, key_size, dimension, reason):
    with raises_code(NotEligibleError, reason) as caught:
        encrypt_model(nn.Sequential(layer, nn.ReLU()), generate_key("flipping", key_size, dimension), example=WAVE)
    assert "\n" not in str(caught.value)


def test_padding_valid_is_no_padding():
    encrypt_model(nn.Conv1d(1, 4, 10, 10, padding="valid"), generate_key("rom", 10), example=WAVE)


class Runs(nn.Module):
    """A convolution, and what the function given does with it and the input."""

    def __init__(self, forward, convolution=None, **layers):
        super().__init__()
        self.how = forward
        self.first = convolution or nn.Conv1d(1, 8, 10, 10)
        self.second, self.norm = nn.Conv1d(8, 4, 3), nn.BatchNorm1d(1)
        self.norm.running_mean += 1

    def forward(self, x, mask=None):
        if float(x.abs().max()) < 0:
            raise ValueError("never")  # nothing that branches on data can be traced
        return self.how(self, x)


def one_reader(m, x):
    return m.second(m.first(x))


def second_reader(m, x):
    return one_reader(m, x) + x[..., 20::10]


def encrypted_on(model, x, kind="rom", **how):
    """Under a key that moves every block."""
    return encrypt_model(model, generate_key(kind, 10, seed=1), example=x, **how)


@pytest.mark.parametrize(
    ("forward", "x"),
    [
        (lambda m, x: m.first(x), WAVE),
        (lambda m, x: m.first(x.unsqueeze(1)), WAVE[:, 0]),
        (lambda m, x: m.first(x.reshape(x.shape[0], 1, x.shape[-1])), WAVE[:, 0]),
        (lambda m, x: m.first(torch.reshape(x, (-1, 1, x.shape[-1]))), WAVE[:, 0]),
        (lambda m, x: m.first(x.contiguous()) * x.shape[0], WAVE),
        (lambda m, x: m.first(x[:, None, ...].float()), WAVE[:, 0]),
        (lambda m, x: m.first(x.to(dtype=m.first.weight.dtype)), WAVE.double()),
        (lambda m, x: m.first(2 * x), WAVE),  # a key commutes with a factor
    ],
)
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_whatever_leaves_the_blocks_alone(forward, x, kind):
    model = Runs(forward).eval()
    with torch.no_grad():
        plain, private = model(x), encrypted_on(model, x, kind)(encrypt(x, generate_key(kind, 10, seed=1)))
    torch.testing.assert_close(private, plain, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "forward",
    [
        second_reader,
        lambda m, x: m.first(x - x.mean()),
        lambda m, x: m.first(m.norm(x)),
        lambda m, x: m.first(x.flip(-1)),
        lambda m, x: m.first(x[:, :, 1:]),
        lambda m, x: m.first(x.to(torch.int64).float()),
        lambda m, x: m.first(x * torch.hann_window(x.shape[-1])),
        lambda m, x: m.first(x.abs()),
        lambda m, x: m.first(m.first(x).flatten(1)[:, None]),
        lambda m, x: one_reader(m, x) * x.abs().mean(),
        lambda m, x: one_reader(m, x.clamp(-1, 1)),
        lambda m, x: F.conv_transpose1d(m.first(x).relu(), m.first.weight, stride=10),
        lambda m, x: x.flatten(1) * 2,
        lambda m, x: x,
    ],
)
def test_another_reader_of_the_input_or_the_kernel(forward):
    with raises_code(NotEligibleError, "other-reader", match=REFUSED) as caught:
        encrypted_on(Runs(forward), WAVE + 0.5)
    assert "\n" not in str(caught.value)


def test_a_transposed_spectrogram():
    model = Runs(lambda m, x: m.first(x.transpose(1, 2).unsqueeze(1)), nn.Conv2d(1, 4, 4, 4))
    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypt_model(model, generate_key("rom", 4, 2, seed=1), example=torch.randn(2, 8, 8))


def test_layers_that_compute_in_their_own_way():
    class Magnitudes(nn.Conv1d):
        def _conv_forward(self, x, weight, bias):
            return super()._conv_forward(x.abs(), weight, bias)

    class Squaring(nn.Conv1d):
        def forward(self, x):
            return super().forward(x * x)

    for layer in (Magnitudes(1, 4, 10, 10), Squaring(1, 4, 10, 10)):
        with raises_code(NotEligibleError, "other-reader", match=REFUSED):
            encrypted_on(nn.Sequential(layer), WAVE)


def test_a_shared_weight():
    one, other = nn.Conv1d(1, 1, 10, 10), nn.Conv1d(1, 1, 10, 10)
    other.weight = one.weight
    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypted_on(nn.Sequential(one, other), WAVE)


def small():
    return nn.Sequential(nn.Conv1d(1, 8, 10, 10), nn.ReLU(), nn.Conv1d(8, 4, 3))


@pytest.mark.parametrize("layer", [lambda m: m, lambda m: m[0]])
def test_a_hook_that_changes_the_input(layer):
    model = small()
    layer(model).register_forward_pre_hook(lambda _, given: (given[0].abs(),))
    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypted_on(model, WAVE)


def test_a_hook_that_only_looks():
    model, seen = small(), []
    model[2].register_forward_hook(lambda _, __, output: seen.append(output.shape))
    with torch.no_grad():
        private = encrypted_on(model, WAVE, "flipping")(encrypt(WAVE, generate_key("flipping", 10, seed=1)))
        assert torch.equal(private, model(WAVE))
    assert seen


def test_a_forward_of_one_object():
    model = small()
    model.forward = lambda x: nn.Sequential.forward(model, x.abs())
    with pytest.raises(NotEligibleError):
        encrypted_on(model, WAVE)


def test_a_compiled_model():
    key = generate_key("rom", 10)
    bare, used = (torch.compile(model, backend="eager") for model in (nn.Conv1d(1, 4, 10, 10), small()))
    used(WAVE)
    in_place = small()
    in_place.compile(backend="eager")
    with torch.no_grad():
        for model in (bare, used, in_place):
            private = encrypt_model(model, key, example=WAVE)(encrypt(WAVE, key))
            torch.testing.assert_close(private, model(WAVE), rtol=0, atol=1e-5)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_scripted_models_are_refused():
    with raises_code(NotEligibleError, "scripted"):
        encrypted_on(torch.jit.trace(nn.Sequential(nn.Conv1d(1, 4, 10, 10)), WAVE), WAVE)


def test_the_layer_can_be_named():
    """Where the order of registration is not the order of use."""

    class Late(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first = nn.Conv1d(4, 2, 10, 10), nn.Conv1d(1, 4, 10, 10)

        def forward(self, x):
            return self.second(self.first(x))

    model = Late()
    assert find_first_convolution(model) == "second"
    assert find_first_convolution(model.first) == ""
    with raises_code(NotEligibleError, "other-reader", match="layer="):
        encrypted_on(model, WAVE)
    with torch.no_grad():
        private = encrypted_on(model, WAVE, layer="first")(encrypt(WAVE, generate_key("rom", 10, seed=1)))
        torch.testing.assert_close(private, model(WAVE), rtol=0, atol=1e-5)
    for name in ("third", "", "first.weight"):
        with raises_code(NotEligibleError, "no-such-layer"):
            encrypted_on(model, WAVE, layer=name)


def test_running_leaves_the_model_and_the_random_numbers_as_they_were():
    model = nn.Sequential(nn.Conv1d(1, 8, 10, 10), nn.BatchNorm1d(8), nn.Dropout()).train()
    before, state = model[1].running_mean.clone(), torch.get_rng_state()
    assert encrypted_on(model, WAVE).training
    assert model.training
    assert torch.equal(model[1].running_mean, before)
    assert torch.equal(state, torch.get_rng_state())


def test_random_numbers_in_evaluation_are_no_difference():
    encrypted_on(Runs(lambda m, x: one_reader(m, x) + torch.randn(4, 1)), WAVE)


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

    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypted_on(Normalising(when=False).train(training), WAVE)
    model = Normalising(when=True).train(training)
    encrypted = encrypted_on(model, WAVE)
    assert encrypted.training == model.training == training
    with torch.no_grad():
        private = encrypted.eval()(encrypt(WAVE, generate_key("rom", 10, seed=1)))
        torch.testing.assert_close(private, model.eval()(WAVE), rtol=0, atol=1e-5)


@dataclasses.dataclass
class Scores:
    logits: torch.Tensor | None = None
    length: int = 0


@pytest.mark.parametrize("returned", [Scores, lambda y: [{"a": (Scores(y, 3),)}]])
def test_answers_in_dataclasses_are_compared(returned):
    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypted_on(Runs(lambda m, x: returned(second_reader(m, x))), WAVE)
    encrypted_on(Runs(lambda m, x: returned(one_reader(m, x))), WAVE)


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
    for forward in (second_reader, one_reader):
        with raises_code(NotEligibleError, "nothing-to-compare"):
            encrypted_on(Runs(lambda m, x, forward=forward: returned(forward(m, x))), WAVE)


def test_infinite_scores_are_left_out_of_the_comparison():
    def masked(forward):
        return Runs(lambda m, x: F.pad(forward(m, x), (0, 1), value=-torch.inf))

    encrypted_on(masked(one_reader), WAVE)
    with raises_code(NotEligibleError, "other-reader", match=REFUSED):
        encrypted_on(masked(second_reader), WAVE)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda m, x: m.first(x)[:, : 1 + int(1e4 * x.abs().max()) % 7], "has another shape"),
        (lambda m, x: m.first(x) if float(x.abs().max()) <= 1 else m.none, "does not run on an input"),
    ],
)
def test_answers_of_other_shapes_and_failures(forward, reason):
    """The example is at most 1 and encrypted it is not; 0.9998 and 1.5, say, give other numbers of channels."""
    example = (1 + torch.arange(1000.0) + 1e-5 * torch.arange(1000.0) ** 2).sin().reshape(1, 1, 1000)
    with raises_code(NotEligibleError, "other-reader", match=f"{reason}.*{REFUSED}") as caught:
        encrypted_on(Runs(forward), example)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("example", "reason"),
    [
        *((torch.full((2, 1, 50), value), "bad-example") for value in (0, 1, torch.nan, torch.inf)),
        (torch.randint(5, (2, 1, 50)), "bad-example"),
        (torch.empty(0, 1, 50), "bad-example"),
        (WAVE.numpy(), "bad-example"),
        (WAVE[..., :9], "does-not-run"),
        (WAVE.expand(2, 3, 100), "does-not-run"),
        (WAVE.double(), "does-not-run"),
        (torch.arange(10.0).repeat_interleave(10).reshape(1, 1, 100), "changes-nothing"),
    ],
)
def test_examples_that_show_nothing_or_do_not_fit(example, reason):
    with raises_code(NotEligibleError, reason) as caught:
        encrypt_model(small(), generate_key("shuffling", 10), example=example)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_model_that_does_not_run_on_whole_blocks():
    """It takes 104 samples, of which the first convolution reads 100."""
    with raises_code(NotEligibleError, "does-not-run", match="lengths that are multiples of 10"):
        encrypted_on(Runs(lambda m, x: one_reader(m, x) if x.shape[-1] % 10 else m.none), torch.randn(1, 1, 104))


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_a_model_that_cannot_be_copied():
    """Weight norm of the old style keeps a weight that deepcopy refuses, until it is computed without gradients."""
    locked = small()
    locked.lock = threading.Lock()
    with raises_code(NotEligibleError, "cannot-copy", match=r"cannot be copied \(TypeError: .*lock.*take out"):
        encrypted_on(locked, WAVE)
    model = small()
    model[2] = nn.utils.weight_norm(model[2])
    model(WAVE).sum().backward()
    with raises_code(NotEligibleError, "cannot-copy") as caught:
        encrypted_on(model, WAVE)
    assert "\n" not in str(caught.value)
    with torch.no_grad():
        model(WAVE)
    encrypted_on(model, WAVE)
