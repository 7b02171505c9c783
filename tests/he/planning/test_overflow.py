"""Answers that wrapped around are refused; honest noise, that of a flood included, is not."""

from __future__ import annotations

import numpy as np
import pytest
from torch import nn

from sotto.he import Bob, PolynomialNetwork
from sotto.he.planning.flooding import FLOOD
from sotto.he.planning.noise import LOGIT_STEP
from sotto.he.planning.overflow import SPARE_SLOTS, batched_logits, packed_logits
from sotto.he.session_secrets import make_secrets
from sotto.link import FrameError
from tests.error_codes import raises_code

SLOTS = 4096


@pytest.mark.parametrize("mode", ["packed", "batched"])
def test_a_query_that_wraps_is_refused(mode, make_module, make_features):
    """Steep weights calibrated on tiny features: a corner of the cube is within [-1, 1], its logits are 1e8."""
    module = make_module(1, (6, 5, 4, 3), 2)
    next(layer for layer in module.modules() if isinstance(layer, nn.Linear)).weight.data *= 300
    calibration = 0.001 * make_features(40, 6)
    bob = Bob(module, calibration=calibration, mode=mode, threads=1)
    assert not bob.plan.proved
    secrets = make_secrets(bob.description, 1)
    evaluator = bob.open(secrets.public_material())
    network = PolynomialNetwork.of(module)

    def ask(vectors):
        return secrets.decrypt([answer for c in secrets.encrypt(vectors) for answer in evaluator.take(c)], 1)

    known = calibration[:1].astype(np.float64)
    assert np.abs(ask(known) - network.logits(known)).max() < LOGIT_STEP
    corner = np.sign(make_features(1, 6, 9)).astype(np.float64)
    assert np.abs(network.logits(corner)).max() > 1e4
    with raises_code(FrameError, "overflowed"):
        ask(corner)


def packed_answer(logits, period, noise):
    random = np.random.default_rng(0)
    slots = np.zeros(period, complex)
    slots[: (len(logits) + 1) // 2] = logits[0::2] + 1j * np.append(logits[1::2], np.zeros(len(logits) % 2))
    return np.tile(slots, SLOTS // period) + noise * (
        random.standard_normal(SLOTS) + 1j * random.standard_normal(SLOTS)
    )


@pytest.mark.parametrize("logits", [[1.0, -2.0], [0.1, 0.2, 0.3], [-5000.0, 3.0, 1.0, 2.0, 9.0]])
def test_a_flood_passes(logits):
    logits = np.array(logits)
    found = packed_logits(packed_answer(logits, 16, FLOOD), 16, len(logits), True)
    assert np.abs(found - logits).max() < LOGIT_STEP / 2


@pytest.mark.parametrize("slot", [0, 5, 16, 4095])
@pytest.mark.parametrize("wrong", [0.1, 0.1j, 1e9, float("nan")])
def test_one_slot_that_differs_is_enough(slot, wrong):
    values = packed_answer(np.array([1.0, 2.0, 3.0]), 16, FLOOD)
    values[slot] += wrong
    with raises_code(FrameError, "overflowed"):
        packed_logits(values, 16, 3, True)


def test_copies_that_agree_where_nothing_should_be_are_refused():
    values = packed_answer(np.array([1.0, 2.0, 3.0]), 16, 0)
    for place, wrong in ((1, 0.1j), (2, 0.1)):  # the half of a slot that three classes leave, and an empty one
        changed = values.copy()
        changed[place::16] += wrong
        with raises_code(FrameError, "overflowed"):
            packed_logits(changed, 16, 3, True)


def test_a_batch_is_checked_in_its_spare_slots_and_imaginary_parts():
    values = np.random.default_rng(1).normal(0, 3, SLOTS).astype(complex)
    values[-SPARE_SLOTS:] = 0.25
    np.testing.assert_array_equal(batched_logits(values, 100), values.real[:100])
    for place, wrong in ((-1, 1.0), (-SPARE_SLOTS, 1.0), (7, 1j), (-1, float("nan"))):
        changed = values.copy()
        changed[place] += wrong
        with raises_code(FrameError, "overflowed"):
            batched_logits(changed, 100)
