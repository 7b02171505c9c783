import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.keyed import KEY_TYPES, WrongShapeError, decrypt, encrypt, generate_key, whole_blocks
from sotto.link import BadValue
from tests.error_codes import raises_code

kinds = st.sampled_from(KEY_TYPES)


@st.composite
def speech_and_key(draw, tails=True):
    """Speech of any batch shape and length, and a key that fits it."""
    dimension = draw(st.sampled_from([1, 2]))
    size = draw(st.integers(2, 12 if dimension == 1 else 5))
    key = generate_key(draw(kinds), size, dimension, seed=draw(st.integers(0, 99)))
    batch = draw(st.sampled_from([(), (1,), (3,), (2, 1), (2, 3)]))
    rest = st.integers(0, size - 1 if tails else 0)
    lengths = [size * draw(st.integers(1, 4)) + draw(rest) for _ in range(dimension)]
    dtype = draw(st.sampled_from([torch.float32, torch.float64]))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    return torch.randn(*batch, *lengths, generator=generator, dtype=dtype), key


@settings(deadline=None)
@given(speech_and_key(tails=False))
def test_equals_the_papers_algorithms(block_loop, case):
    x, key = case
    flat = x.reshape(-1, *x.shape[-key.dimension :])
    expected = np.stack([block_loop(clip.numpy().reshape(-1, clip.shape[-1]), key) for clip in flat]).reshape(x.shape)
    found = encrypt(x, key).numpy()
    if key.kind == "rom":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if x.dtype == torch.float32 else 1e-13)
    else:
        np.testing.assert_array_equal(found, expected)


@settings(deadline=None)
@given(speech_and_key(), st.sampled_from(["crop", "pad"]))
def test_arrays_are_transformed_as_tensors_are(case, tail):
    """Alice has arrays, and no torch: what she sends is what the model's owner tried the model on."""
    x, key = case
    found = encrypt(x.numpy(), key, tail=tail)
    assert isinstance(found, np.ndarray)
    assert found.dtype == x.numpy().dtype
    expected = encrypt(x, key, tail=tail).numpy()
    if key.kind == "rom":
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 if x.dtype == torch.float32 else 1e-13)
        np.testing.assert_allclose(decrypt(found, key), decrypt(torch.from_numpy(found), key).numpy(), atol=1e-5)
    else:
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(decrypt(found, key), decrypt(torch.from_numpy(found), key).numpy())
    with pytest.raises(WrongShapeError):
        encrypt(x.numpy().astype(np.int64), key)


@settings(deadline=None)
@given(speech_and_key())
def test_decryption_gives_the_speech_back(case):
    x, key = case
    lengths = tuple(x.shape[-key.dimension :])
    cropped = decrypt(encrypt(x, key), key)
    padded = decrypt(encrypt(x, key, tail="pad"), key, length=lengths)
    whole = whole_blocks(x, key.block_size, key.dimension)
    if key.kind == "rom":
        tolerance = {"rtol": 0, "atol": 1e-5}
        torch.testing.assert_close(cropped, whole, **tolerance)
        torch.testing.assert_close(padded, x, **tolerance)
    else:
        assert torch.equal(cropped, whole)
        assert torch.equal(padded, x)


@settings(deadline=None)
@given(speech_and_key())
def test_lengths_follow_the_rule(case):
    """Cropped to the blocks that fill, padded to the blocks that begin; padding changes nothing before the tail."""
    x, key = case
    m = key.block_size
    cropped, padded = encrypt(x, key), encrypt(x, key, tail="pad")
    for axis in range(-key.dimension, 0):
        assert cropped.shape[axis] == x.shape[axis] // m * m
        assert padded.shape[axis] == -(-x.shape[axis] // m) * m
    assert padded.shape[: -key.dimension] == x.shape[: -key.dimension]
    both = padded[(..., *(slice(size) for size in cropped.shape[-key.dimension :]))]
    torch.testing.assert_close(both, cropped, rtol=0, atol=0 if key.kind != "rom" else 1e-5)


@settings(deadline=None)
@given(speech_and_key())
def test_what_stays(case):
    """dtype, batch axes, energy of the whole; the input itself is not touched."""
    x, key = case
    before = x.clone()
    y = encrypt(x, key)
    assert torch.equal(x, before)
    assert y.dtype == x.dtype
    assert y.shape[: -key.dimension] == x.shape[: -key.dimension]
    assert y.data_ptr() != x.data_ptr()
    whole = whole_blocks(x, key.block_size, key.dimension)
    assert float(y.norm()) == pytest.approx(float(whole.norm()), rel=1e-4)


@settings(deadline=None)
@given(speech_and_key(tails=False))
def test_is_the_matrix_of_the_key_on_every_block(case):
    x, key = case
    m = key.block_size
    first = x[..., :m] if key.dimension == 1 else x[..., :m, :m].flatten(-2)
    found = encrypt(x, key)
    found = found[..., :m] if key.dimension == 1 else found[..., :m, :m].flatten(-2)
    torch.testing.assert_close(found.double(), first.double() @ torch.from_numpy(key.matrix()), rtol=0, atol=1e-5)


def test_tails_are_cropped_or_mirrored():
    x = torch.arange(1.0, 9.0)
    assert whole_blocks(x, 5, 1).tolist() == [1, 2, 3, 4, 5]
    assert whole_blocks(x, 5, 1, tail="pad").tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 8, 7]
    assert whole_blocks(x[:1], 4, 1, tail="pad").tolist() == [1, 1, 1, 1]
    assert whole_blocks(x[:2], 7, 1, tail="pad").tolist() == [1, 2, 2, 1, 1, 2, 2]
    assert whole_blocks(x[:6].reshape(2, 3), 2, 2).tolist() == [[1, 2], [4, 5]]
    assert whole_blocks(x[:6].reshape(2, 3), 2, 2, tail="pad").tolist() == [[1, 2, 3, 3], [4, 5, 6, 6]]


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_half_precision_and_strides(kind):
    key = generate_key(kind, 4, 2, seed=1)
    x = torch.randn(3, 8, 12)
    for dtype in (torch.float16, torch.bfloat16):
        error = (encrypt(x.to(dtype), key).float() - encrypt(x, key)).abs().max()
        assert encrypt(x.to(dtype), key).dtype == dtype
        assert error < 0.05
    assert torch.equal(encrypt(x.transpose(1, 2), key), encrypt(x.transpose(1, 2).contiguous(), key))
    every_other = x[:, ::2]
    assert torch.equal(encrypt(every_other, key), encrypt(every_other.clone(), key))


@pytest.mark.parametrize("kind", KEY_TYPES)
def test_another_key_gives_noise(kind):
    x = torch.randn(1, 64_000)
    y = decrypt(encrypt(x, generate_key(kind, 20, seed=1)), generate_key(kind, 20, seed=2))
    assert abs(float(torch.corrcoef(torch.cat([x, y]))[0, 1])) < 0.6


@pytest.mark.parametrize(
    ("shape", "dimension", "reason"),
    [
        ((4,), 1, "too-short"),
        ((3, 4, 9), 2, "too-short"),
        ((), 1, "empty"),
        ((5,), 2, "empty"),
        ((0, 10), 1, "empty"),
    ],
)
def test_shapes_that_do_not_fit(shape, dimension, reason):
    with raises_code(WrongShapeError, reason):
        encrypt(torch.zeros(shape), generate_key("flipping", 5, dimension))


def test_the_shape_that_was_given_is_the_one_that_is_named():
    with raises_code(WrongShapeError, "too-short", match=r"speech of \(5,\) is shorter than a block of 10: pad it"):
        encrypt(torch.zeros(5), generate_key("flipping", 10))
    with raises_code(
        WrongShapeError, "too-short", match=r"speech of \(2, 4, 9\) is shorter than a block of 5 × 5: pad it"
    ):
        encrypt(torch.zeros(2, 4, 9), generate_key("flipping", 5, 2))


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("count", [1, 2, 7, 1009])
def test_any_number_of_blocks(block_loop, kind, count):
    """Blocks are worked on several at a time; what is left over must come out the same."""
    for size in (2, 3, 10, 17):
        key = generate_key(kind, size, seed=count)
        x = torch.sin(torch.arange(count * size, dtype=torch.float64).square())
        np.testing.assert_allclose(encrypt(x, key).numpy(), block_loop(x.numpy()[None], key)[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize("dimension", [1, 2])
def test_gradients_pass(kind, dimension):
    """The transform is linear, so the gradient of a sum of squares is twice the (cropped) input."""
    key = generate_key(kind, 3, dimension, seed=1)
    x = torch.randn(2, 10, 10, dtype=torch.float64, requires_grad=True)
    encrypt(x, key).square().sum().backward()
    expected = torch.zeros_like(x)
    expected[:, : 9 if dimension == 2 else 10, :9] = 2 * x.detach()[:, : 9 if dimension == 2 else 10, :9]
    torch.testing.assert_close(x.grad, expected)


def test_other_misuse():
    key = generate_key("flipping", 5)
    with raises_code(WrongShapeError, "wrong-dtype"):
        encrypt(torch.arange(10), key)
    with raises_code(WrongShapeError, "not-whole-blocks"):
        decrypt(torch.zeros(12), key)
    for length in ((11,), (0,), (-1,), (5, 5), ()):
        with raises_code(WrongShapeError, "wrong-length"):
            decrypt(torch.zeros(10), key, length=length)
    with raises_code(BadValue, "unknown-tail"):
        encrypt(torch.zeros(10), key, tail="cut")
