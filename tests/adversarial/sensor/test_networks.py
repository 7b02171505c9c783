"""The networks of the paper: sizes, masks, and gradients that turn around between F and D."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.adversarial import Classifier, Sensor
from sotto.adversarial.learning.discriminator import Discriminator
from sotto.adversarial.learning.gradient_reversal import reverse_gradient
from sotto.adversarial.sensor.extractor import Extractor
from sotto.adversarial.sensor.sensor import BINARY_THRESHOLD
from sotto.adversarial.sensor.separation_network import SeparationNetwork
from sotto.link import BadValue
from tests.error_codes import raises_code

SMALL = {"separation": (2, 2, 4), "extractor": (2, 4)}


def test_the_published_sizes():
    sensor = Sensor()
    assert [block[0].out_channels for block in sensor.separation.encoder] == [16, 32, 64, 128, 256, 512]
    assert {(block[0].kernel_size, block[0].stride) for block in sensor.separation.encoder} == {((5, 5), (2, 2))}
    assert [block.out_channels for block in sensor.separation.decoder] == [256, 128, 64, 32, 16, 1]
    assert [block[0].out_channels for block in sensor.extractor.blocks] == [64, 128, 256, 512]
    assert sensor.extractor.project.out_features == 64
    linear = [layer for layer in Discriminator().layers if isinstance(layer, torch.nn.Linear)]
    assert [layer.out_features for layer in linear] == [48, 32, 16, 1]


@settings(max_examples=5, deadline=None)
@given(bins=st.integers(1, 70), frames=st.integers(1, 40))
def test_a_mask_has_the_size_of_any_spectrogram_and_lies_between_0_and_1(bins, frames):
    mask = SeparationNetwork((2, 4, 4)).eval()(torch.rand(2, bins, frames)).detach()
    assert mask.shape == (2, bins, frames)
    assert float(mask.min()) >= 0
    assert float(mask.max()) <= 1


@settings(max_examples=25, deadline=None)
@given(weight=st.floats(0, 10), value=st.floats(-5, 5))
def test_the_gradient_turns_around_and_the_value_stays(weight, value):
    z = torch.tensor([value], requires_grad=True)
    out = reverse_gradient(z, weight)
    (3 * out).sum().backward()
    assert out.item() == pytest.approx(value)
    assert z.grad.item() == pytest.approx(-3 * weight, rel=1e-5)


def test_the_three_masks():
    torch.manual_seed(0)
    magnitudes = torch.rand(2, 257, 20)
    assert bool((Sensor(mask="none", **SMALL).mask_of(magnitudes) == 1).all())
    continuous = Sensor(mask="continuous", **SMALL).eval()
    binary = Sensor(mask="binary", **SMALL).eval()
    binary.load_state_dict(continuous.state_dict())
    expected = (continuous.mask_of(magnitudes) >= BINARY_THRESHOLD).float()
    assert torch.equal(binary.mask_of(magnitudes), expected)


def test_segments_become_64_numbers_and_these_event_scores():
    z = Sensor(**SMALL).eval()(torch.randn(3, 16_000))
    assert z.shape == (3, 64)
    assert Classifier(4)(z).shape == (3, 4)


def test_the_event_loss_reaches_a_learnable_mask():
    sensor = Sensor(**SMALL)
    sensor(torch.randn(2, 16_000)).square().sum().backward()
    assert float(sensor.separation.encoder[0][0].weight.grad.abs().sum()) > 0


@pytest.mark.parametrize(
    "arguments", [{"mask": "some"}, {"separation": ()}, {"separation": (10**9,)}, {"extractor": (0,)}, {"rate": 1}]
)
def test_absurd_sensors_are_refused(arguments):
    with raises_code(BadValue, ("out-of-range", "unknown-mask", "wrong-rate")):
        Sensor(**{**SMALL, **arguments})


@pytest.mark.parametrize("make", [lambda: Classifier(0), lambda: Classifier(10**9), lambda: Extractor(64, (1,) * 9)])
def test_absurd_sizes_are_refused(make):
    with raises_code(BadValue, "out-of-range"):
        make()
