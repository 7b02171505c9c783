"""Schedules hold what the program computes, stay at 128 bits, and refuse what does not fit, with the reason."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.network.circuit import fold
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.network.packing import pack
from sotto.he.network.parameters import MAX_CHAIN_BITS, ParametersRefused
from sotto.he.network.program import Machine, Scales, batched_layers, packed_layers, run
from sotto.he.network.schedule import Modulus, Schedule, seal_context
from sotto.he.planning.calibration import MAX_LOGIT_ERROR, MAX_SHOWN_ERROR
from sotto.he.planning.intervals import Intervals, everything
from sotto.he.planning.overflow import packed_logits
from sotto.he.planning.scheduling import MAX_HIDDEN_LAYERS, schedule_for
from sotto.he.planning.slot_noise import SlotNoise
from sotto.link import BadValue, WrongState
from sotto.models.networks.mlp import Affine
from tests.error_codes import raises_code


def unit_schedule(network):
    """Scales of one everywhere: for programs of which only the values matter."""
    counts = {2: 1, 4: 2, 6: 3}
    rescales = tuple((0,) * counts[len(polynomial) - 1] for polynomial in network.polynomials)
    return Schedule(Modulus(8192, (60, 60)), rescales, 0, (0,) * len(network.layers), False)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    degree=st.sampled_from([2, 4, 6]),
    widths=st.lists(st.integers(1, 20), min_size=2, max_size=4),
    packed=st.booleans(),
)
def test_programs_compute_the_network_and_stay_within_their_intervals(
    make_network, make_features, seed, degree, widths, packed
):
    network = make_network(seed, tuple(widths), degree, size=0.7)
    circuit, schedule = fold(network), unit_schedule(network)
    packing = pack(circuit, 4096) if packed else None
    layers = packed_layers(packing, schedule) if packing else batched_layers(circuit, schedule)
    x = make_features(3, widths[0], seed).astype(np.float64)
    values = np.stack([packing.layout.lay_out(row, 4096) for row in x]) if packing else x

    machine = SlotNoise(schedule, by_unit=not packed)
    found = run(machine, layers, circuit.activations, machine.encrypted(values)).payload.values
    if packing:
        found = np.stack([packed_logits(row, packing.period, widths[-1], packing.paired) for row in found])
    expected = network.logits(x)
    np.testing.assert_allclose(found.real, expected, atol=1e-7 * max(1.0, np.abs(expected).max()))

    intervals = Intervals(schedule, by_unit=not packed)
    count = 4096 if packed else widths[0]
    box = run(intervals, layers, circuit.activations, everything(count, paired=packed)).payload
    assert len(intervals.peaks) == len(machine.peaks)
    assert all(inner <= outer * (1 + 1e-6) + 1e-9 for inner, outer in zip(machine.peaks, intervals.peaks, strict=True))
    assert np.abs(expected).max() <= box.magnitude().max() * (1 + 1e-6)


@pytest.mark.parametrize(("degree", "ring_degree", "primes", "last"), [(2, 8192, 3, 1), (4, 16384, 6, 2)])
def test_the_papers_network_takes_few_primes(make_module, make_features, degree, ring_degree, primes, last):
    network = PolynomialNetwork.of(make_module(1, (88, 100, 50, 2), degree))
    chosen = schedule_for(network, make_features(60, 88), packed=True)
    modulus = chosen.schedule.modulus
    assert (modulus.ring_degree, modulus.top, chosen.schedule.answer_primes) == (ring_degree, primes, last)
    assert sum(modulus.chain) <= MAX_CHAIN_BITS[ring_degree]
    assert chosen.logit_error <= MAX_LOGIT_ERROR
    assert chosen.logit_error < chosen.shown_error <= MAX_SHOWN_ERROR < 1e-2


@pytest.mark.parametrize("packed", [True, False])
def test_a_model_whose_logits_overflow_is_refused_with_the_reason(make_network, make_features, packed):
    network = make_network(0, (6, 5, 4, 3), 2)
    head = network.layers[-1]
    huge = PolynomialNetwork((*network.layers[:-1], Affine(head.weight * 1e60, head.bias)), network.polynomials)
    with raises_code(
        ModelRefused,
        "no-parameters",
        match=r"logits up to \S+ overflow the scale.*smaller weights or a lower degree",
    ):
        schedule_for(huge, make_features(20, 6), packed=packed)
    with raises_code(ModelRefused, "no-parameters", match="pass calibration features"):
        schedule_for(huge, packed=packed)


def test_a_network_too_deep_is_refused(make_network):
    network = make_network(0, (3,) * (MAX_HIDDEN_LAYERS + 3), 2)
    with raises_code(ModelRefused, "too-deep"):
        schedule_for(network, packed=True)


def test_every_point_of_a_schedule_fits_its_modulus(make_network, make_features):
    network = make_network(2, (6, 5, 4, 3), 2)
    chosen = schedule_for(network, make_features(20, 6), packed=True)
    modulus = chosen.schedule.modulus
    intervals = Intervals(chosen.schedule, by_unit=False)
    scales = Scales(chosen.schedule)
    activations = chosen.circuit.activations
    run(intervals, chosen.layers, activations, everything(modulus.slots, paired=True))
    run(scales, chosen.layers, activations, None)
    assert chosen.proved
    for peak, point in itertools.zip_longest(intervals.peaks, scales.points):
        assert peak * point.scale <= 2.0 ** (modulus.bits(point.level) - 1)


@pytest.mark.parametrize(
    ("ring_degree", "chain", "reason"),
    [
        (4096, (40, 40), "bad-ring-degree"),
        (8192, (60, 60, 60, 39), "insecure"),
        (8192, (60,), "bad-level-count"),
        (8192, (61, 40), "bad-prime-size"),
        (8192, (40, 19), "bad-prime-size"),
    ],
)
def test_weak_and_malformed_chains_are_refused(ring_degree, chain, reason):
    with raises_code(ParametersRefused, reason):
        Modulus(ring_degree, chain)


def test_seal_takes_the_chain_as_128_bits_secure():
    modulus = Modulus(8192, (50, 60, 60, 48))
    context = seal_context(modulus)
    assert context.parameters_set()
    assert len(modulus.primes) == 4
    assert [prime.bit_length() for prime in modulus.primes] == [50, 60, 60, 48]


def test_sums_of_different_scales_are_a_mistake_of_the_program():
    machine = Scales(Schedule(Modulus(8192, (60, 60)), (), 20, (20,), False))
    value = machine.fresh(None)
    with raises_code(WrongState, "scales-differ"):
        machine.add(value, machine.square(value))
    assert issubclass(Scales, Machine)


@pytest.mark.parametrize(
    ("rescales", "weight_bits"), [(((1, 1, 1, 1),), (20, 20)), (((1,),), (20,)), (((2,),), (9, 9))]
)
def test_a_schedule_that_does_not_add_up_is_refused(rescales, weight_bits):
    with raises_code(BadValue, "bad-schedule"):
        Schedule(Modulus(8192, (60, 60, 60)), rescales, 20, weight_bits, False)
