"""The likelihood knows the right rotation from others, and the surprise model the right order, without the key."""

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from sotto.keyed import ROM, WrongShapeError, encrypt, generate_key
from sotto.keyed.attacks.ciphertext_only.jigsaw import _gains
from sotto.keyed.attacks.ciphertext_only.likelihood import Spectra, _changes, _Likelihood, likeliest, refined
from sotto.keyed.attacks.ciphertext_only.public_model import PublicModel, Windows
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def sound():
    """Noise through resonances that change from clip to clip, (12, 24000)."""
    generator = np.random.default_rng(1)
    rows = []
    for _ in range(12):
        row = generator.normal(size=24_000)
        for centre in (0.25, 0.6, 1.1):
            angle = np.pi * centre * generator.uniform(0.6, 1.2) / 1.2
            row = lfilter([1], [1, -1.8 * np.cos(angle), 0.81], row)
        rows.append(row / row.std() * generator.uniform(0.3, 1))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


@pytest.mark.parametrize("size", [3, 8])
def test_speech_is_likeliest_under_the_right_rotation(sound, size):
    key = ROM.generate(size, seed=1)
    likelihood = _Likelihood(Spectra.of(encrypt(sound, key), size), size)
    right = torch.from_numpy(key.matrix())
    others = torch.stack([torch.from_numpy(ROM.generate(size, seed=n).matrix()) for n in range(2, 42)])
    least = float(likelihood.cost(right[None]))
    assert least < float(likelihood.cost(others).min()) - 0.05
    assert least < float(likelihood.cost(_changes(size) @ right).min()) + 1e-9


def test_it_settles_a_key_that_is_nearly_right(sound):
    key = ROM.generate(6, seed=1)
    right = torch.from_numpy(key.matrix())
    near = torch.linalg.matrix_exp(0.2 * (right - right.T)) @ right
    found = likeliest([_changes(6)[4] @ near], Spectra.of(encrypt(sound, key), 6))
    assert min(float((sign * found - right).abs().max()) for sign in (1, -1)) < 0.1


def test_of_several_guesses_the_right_one_is_refined(sound):
    key = ROM.generate(4, seed=1)
    right = torch.from_numpy(key.matrix())
    near = torch.linalg.matrix_exp(0.05 * (right - right.T)) @ right
    others = [torch.from_numpy(ROM.generate(4, seed=n).matrix()) for n in (2, 3)]
    spectra = Spectra.of_each(encrypt(sound, key)[:4], 4)
    found = refined([others[0], near, others[1]], spectra)
    assert min(float((sign * found - right).abs().max()) for sign in (1, -1)) < 0.1
    assert len(spectra.frequencies) == 4 * len(Spectra.of(encrypt(sound, key), 4).frequencies)
    assert Spectra.of_each(torch.zeros(2, 4000), 4) is None


def test_gains_of_exchanges_are_those_of_exchanging():
    generator = np.random.default_rng(0)
    plain, seen = generator.normal(size=(2, 3, 6, 6))
    gains = _gains(plain, seen)
    for i in range(6):
        for j in range(6):
            order = np.arange(6)
            order[[i, j]] = order[[j, i]]
            gained = (plain * seen[:, order][:, :, order]).sum() - (plain * seen).sum()
            assert gains[i, j] == pytest.approx(gained, abs=1e-9)


def test_changes_are_orthogonal():
    changes = _changes(7)
    assert len(changes) == 3 * 21
    torch.testing.assert_close(changes @ changes.mT, torch.eye(7, dtype=torch.float64).expand(63, 7, 7))


def test_too_little_speech_has_no_spectra():
    assert Spectra.of(torch.randn(1, 100), 10) is None
    assert Spectra.of(torch.zeros(4, 4000), 10) is None


def test_the_right_order_surprises_least():
    generator = np.random.default_rng(3)
    noise = generator.normal(size=(30, 12, 90))
    bands = lfilter([1], [1, -0.9], lfilter([1], [1, -0.7], noise, axis=1), axis=2) + np.arange(12)[None, :, None]
    speech = torch.from_numpy(bands)
    key = generate_key("shuffling", 3, 2, seed=1)
    model, seen = PublicModel(Windows.of(speech[:20], 3, 2)), Windows.of(encrypt(speech[20:], key), 3, 2)
    right = np.argsort(key.values)
    least = model.surprise_of_order(torch.from_numpy(right), seen)
    for _ in range(50):
        order = generator.permutation(9)
        assert model.surprise_of_order(torch.from_numpy(order), seen) > least or (order == right).all()
    with raises_code(WrongShapeError, "too-short"):
        Windows.of(speech[:, :, :5], 3, 2)
