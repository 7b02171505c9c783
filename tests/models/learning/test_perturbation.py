import numpy as np
import pytest
import torch

from sotto.link import BadValue
from sotto.models.learning.perturbation import Perturbation, Perturbed
from sotto.models.learning.training import Examples
from tests.error_codes import raises_code


def rows(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def draw(features, seed=0, **how):
    examples = Perturbed(features, Perturbation(**how))
    return examples.draw(torch.arange(len(features)), torch.Generator().manual_seed(seed)).numpy()


@pytest.mark.parametrize("shape", [(5, 200), (5, 16, 40)])
def test_shapes_and_protocol(shape):
    features = rows(*shape)
    examples = Perturbed(features, Perturbation(gain=0.3, bands=1, band_width=4, moments=1, moment_width=0.1))
    assert isinstance(examples, Examples)
    assert len(examples) == 5
    assert examples.draw(torch.tensor([3, 1]), torch.Generator()).shape == (2, *shape[1:])
    np.testing.assert_array_equal(examples.plain(torch.tensor([3, 1])).numpy(), features[[3, 1]])


def test_the_same_generator_draws_the_same():
    features = rows(5, 200)
    np.testing.assert_array_equal(draw(features, 1, gain=0.3), draw(features, 1, gain=0.3))
    assert not np.array_equal(draw(features, 1, gain=0.3), draw(features, 2, gain=0.3))


def test_shifts_go_around_and_stay_within_bounds():
    features = np.tile(np.arange(100, dtype=np.float32), (200, 1))
    moved = draw(features, shift=0.1)
    offsets = (moved[:, 0] + 50) % 100 - 50
    np.testing.assert_array_equal(moved, (features + offsets[:, None]) % 100)
    assert offsets.min() < -7
    assert offsets.max() > 7
    assert np.abs(offsets).max() <= 10


def test_gain_scales_and_turns_whole_examples():
    features = rows(400, 50)
    factors = draw(features, shift=0.0, gain=0.3) / features
    np.testing.assert_allclose(factors, factors[:, :1].repeat(50, 1), rtol=1e-4)
    assert 100 < (factors[:, 0] < 0).sum() < 300
    assert np.log(np.abs(factors[:, 0])).std() == pytest.approx(0.3, abs=0.05)


def test_masks_are_stretches_of_bands_and_of_time():
    features = np.ones((300, 16, 40), np.float32)
    banded = draw(features, shift=0.0, bands=1, band_width=6) == 0
    assert (banded.all(2) == banded.any(2)).all()
    assert 0 < banded.any(2).sum(1).max() <= 6
    timed = draw(features, shift=0.0, moments=1, moment_width=0.25) == 0
    assert (timed.all(1) == timed.any(1)).all()
    assert 0 < timed.any(1).sum(1).max() <= 10


def test_nothing_is_changed_unless_asked():
    features = rows(5, 16, 40)
    np.testing.assert_array_equal(draw(features, shift=0.0), features)


def test_negative_amounts():
    with raises_code(BadValue, "out-of-range"):
        Perturbation(shift=-0.1)
