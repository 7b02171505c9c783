"""The packing of tensors against PyTorch, slot by slot in numpy: no ciphertext."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import nn

from sotto.he.network.network import ModelRefused
from sotto.he.network.schedule import phases
from sotto.he.planning.overflow import packed_logits
from sotto.he.tensors.exporting import export
from sotto.he.tensors.slot_layout import InputGrid, Layout
from sotto.he.tensors.slot_product import Target, baby_giant, slot_product, walk
from sotto.he.tensors.tensor_network import fold
from sotto.he.tensors.tensor_packing import pack_tensors
from sotto.models.networks.emotion_cnn import Depinto, Frames
from sotto.models.networks.polynomial import PolynomialReLU, swap_relu
from tests.error_codes import raises_code


def activated(activation, w):
    """A folded activation, as its definition has it."""
    inner = w**2 + activation.beta
    if activation.degree == 2:
        return w**2
    if activation.degree == 4:
        return inner**2 + activation.linear * w
    cubic = w * inner + activation.gamma
    return cubic**2 + activation.quadratic * inner + activation.linear * w


def product_of(product, x):
    """One sparse product over slots, by rolling arrays."""
    if product.pair:
        x = x + phases(len(x)) * np.roll(x, -product.pair)
    total = np.zeros(len(x), complex)
    for giant, babies in product.diagonals.items():
        total += np.roll(sum(np.roll(x, -baby) * diagonal for baby, diagonal in babies.items()), -giant)
    return total


def slot_values(packing, circuit, vector):
    """Every slot of the answer: an oracle that shares nothing with the program."""
    values = [packing.grid.lay_out(vector, packing.slots)]
    for stage, packed in zip(circuit.stages, packing.stages, strict=True):
        total = sum(product_of(product, values[source]) for source, product in packed.products.items())
        for step in packed.sums:
            total = total + np.roll(total, -step)
        if packed.conjugate:
            total = total + total.conj()
        total = total + packed.bias
        values.append(total if stage.activation is None else activated(stage.activation, total))
    return values[-1]


def check(module, shape, slots, seed=0):
    network = export(module, shape)
    circuit = fold(network)
    packing = pack_tensors(circuit, slots)
    features = np.random.default_rng(seed).uniform(-1, 1, (1, *shape))
    with torch.no_grad():
        expected = module.double().eval()(torch.from_numpy(features)).numpy()[0]
    final = slot_values(packing, circuit, features.ravel())
    found = packed_logits(final, packing.period, network.classes, packing.paired)
    np.testing.assert_allclose(found, expected, atol=1e-8 * max(1.0, np.abs(expected).max()))
    # Alice decrypts every slot: each period of the answer is the same, and nothing is behind the logits.
    periods = final.reshape(-1, packing.period)
    scale = max(1.0, np.abs(final).max())
    np.testing.assert_allclose(periods, np.broadcast_to(periods[0], periods.shape), atol=1e-9 * scale)
    used = (network.classes + 1) // 2 if packing.paired else network.classes
    np.testing.assert_allclose(periods[0, used:], 0, atol=1e-9 * scale)
    return packing


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.integers(1, 6),
    outputs=st.integers(1, 9),
    length=st.integers(4, 24),
    kernel=st.integers(1, 4),
    stride=st.integers(1, 3),
    padding=st.integers(0, 3),
    dilation=st.integers(1, 2),
    classes=st.integers(1, 9),
    degree=st.sampled_from([2, 4, 6]),
)
def test_any_convolution_over_time(seed, channels, outputs, length, kernel, stride, padding, dilation, classes, degree):
    torch.manual_seed(seed)
    convolution = nn.Conv1d(channels, outputs, kernel, stride, min(padding, kernel // 2), dilation)
    if length + 2 * convolution.padding[0] < dilation * (kernel - 1) + 1:
        return
    layers = [convolution, PolynomialReLU(degree), nn.Flatten()]
    size = nn.Sequential(*layers)(torch.zeros(1, channels, length)).shape[1]
    check(nn.Sequential(*layers, nn.Linear(size, classes)), (channels, length), 512, seed)


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    channels=st.integers(1, 3),
    outputs=st.integers(1, 5),
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    pooled=st.booleans(),
)
def test_any_two_convolutions_over_images(seed, channels, outputs, height, width, stride, pooled):
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(channels, outputs, 3, stride, 1),
        nn.BatchNorm2d(outputs),
        PolynomialReLU(2),
        nn.Conv2d(outputs, 4, 3, padding=1),
        *([nn.AdaptiveAvgPool2d(1)] if pooled else []),
        PolynomialReLU(4),
        nn.Flatten(),
    ]
    size = nn.Sequential(*layers).eval()(torch.zeros(1, channels, height, width)).shape[1]
    check(nn.Sequential(*layers, nn.Linear(size, 3)), (channels, height, width), 1024, seed)


@pytest.mark.parametrize(
    ("module", "shape", "slots", "rotations", "keys", "diagonals"),
    [
        (lambda: swap_relu(Depinto(), 2), (40,), 4096, 16, 13, 11),
        (lambda: swap_relu(Frames(), 2), (40, 188), 8192, 90, 18, 488),
    ],
)
def test_the_emotion_networks_take_few_rotations(module, shape, slots, rotations, keys, diagonals):
    torch.manual_seed(0)
    packing = check(module(), shape, slots)
    assert packing.rotations <= rotations
    assert len(packing.steps) <= keys
    assert packing.diagonals <= diagonals


def test_vectors_and_many_classes():
    torch.manual_seed(0)
    layers = nn.Linear(88, 100), PolynomialReLU(2), nn.Linear(100, 50), PolynomialReLU(6), nn.Linear(50, 35)
    packing = check(nn.Sequential(*layers), (88,), 4096)
    assert packing.period == 64
    check(nn.Linear(5, 35), (5,), 256)


def test_channels_go_into_the_gaps_of_rows_and_columns():
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 16, 3, stride=2, padding=1),
        PolynomialReLU(2),
        nn.Conv2d(16, 24, 3, stride=2, padding=1),
        PolynomialReLU(2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 35),
    )
    packing = check(nn.Sequential(*layers), (1, 16, 20), 1024 * 2)
    assert packing.rotations < 120


def test_a_tensor_that_fits_only_without_blocks_is_laid_out_densely():
    torch.manual_seed(0)
    layers = nn.Conv1d(2, 18, 3, padding=1), PolynomialReLU(2), nn.Conv1d(18, 3, 3), nn.Flatten(), nn.Linear(54, 4)
    check(nn.Sequential(*layers), (2, 20), 512)  # 18 channels in blocks of 32 slots would need 576


class Skip(nn.Module):
    """Its answer takes the input, two activations, and branches of different strides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(2, 4, 3, 2, 1), nn.Conv1d(4, 4, 3, 1, 1)
        self.short, self.head = nn.Conv1d(2, 4, 1, 2), nn.Linear(32, 3)
        self.square = PolynomialReLU(2)

    def forward(self, x):
        y = self.square(self.first(x))
        y = self.square(self.second(y) + self.short(x)) + y
        return self.head(y.flatten(1)) + x.mean((1, 2))[:, None]


def test_residual_sums_across_activations():
    torch.manual_seed(0)
    packing = check(Skip(), (2, 16), 512)
    assert not packing.paired  # a stage that takes Alice's complex input gives real results


def test_what_does_not_fit_is_refused_with_the_reason():
    wide = nn.Sequential(nn.Conv1d(1, 64, 3, padding=1), PolynomialReLU(2), nn.Flatten(), nn.Linear(64 * 64, 2))
    with raises_code(ModelRefused, "too-wide", match="64x64 = 4096 values, a ciphertext holds 1024"):
        pack_tensors(fold(export(wide, (1, 64))), 1024)
    with raises_code(ModelRefused, "too-wide", match="input of 5000 values does not fit ciphertexts of 2048 slots"):
        pack_tensors(fold(export(nn.Linear(5000, 2), (5000,))), 2048)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), bits=st.integers(1, 9))
def test_baby_and_giant_steps_reach_every_offset(data, bits):
    period = 1 << bits
    found = np.array(sorted(data.draw(st.sets(st.integers(0, period - 1), min_size=1))))
    steps = baby_giant(found, period)
    assert set(steps.parts) == set(found.tolist())
    for offset, (baby, giant) in steps.parts.items():
        assert (baby + giant - offset) % period == 0
        assert baby in steps.babies
        assert giant in steps.giants
    reached = {0}
    for before, after, step in walk(steps.babies):
        assert before in reached
        assert after == before + step
        reached.add(after)
    assert reached >= set(steps.babies)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    pair=st.sampled_from([0, 1, 2, 16]),
    source_period=st.sampled_from([32, 64]),
    period=st.sampled_from([8, 32, 64]),
    unit=st.sampled_from([(1, 1), (1, 2), (4, 2)]),
)
def test_any_sparse_matrix_over_slots(seed, pair, source_period, period, unit):
    """Whatever the copies, the pairs and the partial sums, each target slot gets its product."""
    random = np.random.default_rng(seed)
    slots, rows, columns = 64, 3, 5
    dense = random.normal(size=(rows, columns)) * (random.random((rows, columns)) < 0.7)
    dense[0, 0] = 1
    source = Layout(random.choice(source_period, columns, replace=False), source_period, (1,), (1,))
    target = Target(Layout(random.choice(period // 8, rows, replace=True) * 8 % period, period, (1,), (1,)), *unit)
    if len(set(target.layout.slots.tolist())) < rows:
        target = Target(Layout(np.arange(rows) * (1 if unit == (1, 1) else 2), period, (1,), (1,)), 1, 1)
    product = slot_product(
        csr_array(dense), source, target, pair=pair, widest=source_period, conjugated=pair > 0, slots=slots
    )
    x = random.normal(size=columns)
    held = np.zeros(source_period)
    held[source.slots] = x
    total = product_of(product, np.tile(held, slots // source_period))
    for step in target.sums(source_period):
        total = total + np.roll(total, -step)
    if pair:
        total = total + total.conj()
    np.testing.assert_allclose(total[target.layout.slots], dense @ x, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    split=st.integers(-1, 2),
    inner=st.booleans(),
    overlap=st.sampled_from([0, 1, 4]),
)
def test_alice_lays_out_every_element_once(shape, split, inner, overlap):
    split = split if split < len(shape) else -1
    if split >= 0:
        overlap = 0
    strides = tuple(int(np.prod(shape[k + 1 :], dtype=int)) for k in range(len(shape)))
    grid = InputGrid(tuple(shape), strides, split, inner, overlap, 128)
    layout = grid.layout()
    vector = np.arange(1.0, 1 + np.prod(shape))
    values = grid.lay_out(vector, 256)
    held = values[layout.slots]
    parts = held.real if layout.imaginary is None else np.where(layout.imaginary, held.imag, held.real)
    np.testing.assert_array_equal(parts, vector)
    np.testing.assert_array_equal(values[:128], values[128:])
    assert layout.slots.max() < grid.extent
    if overlap:
        np.testing.assert_array_equal(values.imag, np.roll(values.real, -overlap))
