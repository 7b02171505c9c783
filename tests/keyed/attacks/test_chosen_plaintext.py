"""One block for Shuffling and Flipping, N for ROM: enough, and no fewer do."""

import numpy as np
import pytest
import torch

from sotto.keyed import KEY_TYPES, ROM, KeyedError, encrypt, generate_key
from sotto.keyed.attacks import chosen_blocks, chosen_speech, keys_from_chosen
from sotto.keyed.encryption.transform import blocks
from tests.error_codes import raises_code


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize(("size", "dimension"), [(2, 1), (10, 1), (128, 1), (3, 2), (8, 2)])
def test_one_short_clip_gives_the_key(kind, size, dimension):
    key = generate_key(kind, size, dimension, seed=1)
    (found,) = keys_from_chosen(encrypt(chosen_speech(kind, size, dimension), key), kind, size, dimension)
    np.testing.assert_allclose(found.matrix(), key.matrix(), atol=1e-5)
    assert len(chosen_blocks(kind, key.length)) == (key.length if kind == "rom" else 1)


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_the_clip_can_be_played(kind):
    clip = chosen_speech(kind, 16, 1)
    assert 0.5 < float(clip.abs().max()) <= 1
    assert clip.shape == (1, 256 if kind == "rom" else 16)


@pytest.mark.parametrize("length", [2, 5, 9])
def test_one_block_too_few_leaves_two_rom_keys(length):
    key = ROM.generate(length, seed=2)
    seen = encrypt(chosen_speech("rom", length, 1)[:, : length * (length - 1)].double(), key)
    both = keys_from_chosen(seen, "rom", length, 1)
    assert len(both) == 2
    assert sorted(np.abs(guess.matrix() - key.matrix()).max() < 1e-6 for guess in both) == [False, True]
    for guess in both:
        torch.testing.assert_close(encrypt(chosen_speech("rom", length, 1)[:, : seen.shape[1]].double(), guess), seen)


def test_two_blocks_too_few_leave_a_continuum():
    """Any rotation Q of what was not asked for turns the key into another that answers alike."""
    key, length = ROM.generate(6, seed=3), 6
    asked = blocks(chosen_speech("rom", length, 1), length, 1).reshape(length, length).double()[: length - 2]
    free = torch.linalg.svd(asked)[2][length - 2 :]
    for angle in (0.1, 1.0, 2.0):
        c, s = np.cos(angle), np.sin(angle)
        turn = torch.eye(length, dtype=torch.float64) + free.T @ torch.tensor([[c - 1, -s], [s, c - 1]]) @ free
        other = ROM(length, 1, turn.numpy() @ key.matrix(), bytes(32))
        torch.testing.assert_close(encrypt(asked, other), encrypt(asked, key))
        assert np.abs(other.matrix() - key.matrix()).max() > 0.01
    with raises_code(KeyedError, "too-few-blocks"):
        keys_from_chosen(encrypt(asked.reshape(1, -1), key), "rom", length, 1)


@pytest.mark.parametrize("dimension", [1, 2])
def test_noise_hardly_harms(dimension):
    """At 40 dB below full scale: signs and order still exact, the rotation to a few hundredths."""
    noise = torch.Generator().manual_seed(1)
    for kind, most in (("shuffling", 0.0), ("flipping", 0.0), ("rom", 0.05)):
        key = generate_key(kind, 4, dimension, seed=4)
        seen = encrypt(chosen_speech(kind, 4, dimension), key)
        seen = seen + 0.002 * torch.randn(seen.shape, generator=noise)
        (found,) = keys_from_chosen(seen, kind, 4, dimension)
        assert np.abs(found.matrix() - key.matrix()).max() <= most
