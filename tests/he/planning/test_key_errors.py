"""Steps with one key err alike: what is carried along a program is what ciphertexts show, and more than chance has."""

from __future__ import annotations

import numpy as np
import pytest
import tenseal.sealapi as seal

from sotto.he.evaluation.ciphertexts import CiphertextMachine, Encoded
from sotto.he.evaluation.evaluation_keys import SecretKeys, load_keys
from sotto.he.network.program import Value
from sotto.he.network.schedule import Modulus, Schedule
from sotto.he.planning.key_errors import KeyErrors, deviation
from sotto.he.planning.slot_noise import SlotNoise
from sotto.he.sealing import load_ciphertext

SCHEDULE = Schedule(Modulus(8192, (50, 50, 54)), (), 30, (0,), False)
SLOTS, STEPS = 4096, 24
KEYS = 24  # the error of one key is one draw for all its slots: over 240 keys, means of 24 stood within 25 %


def summed(machine, x):
    """The sum of ``x`` turned by 0, 1, 2, … slots, each from the one before."""
    total = turned = x
    for _ in range(STEPS):
        turned = machine.rotate(turned, 1)
        total = machine.add(total, turned)
    return total


def measured():
    """Errors (keys, slots) of the sum on ciphertexts of zero."""
    found = []
    for _ in range(KEYS):
        keys = SecretKeys(SCHEDULE.modulus)
        made, _ = load_keys(SCHEDULE.modulus, keys.public_material((1,), public_key=False), (1,), public_key=False)
        machine = CiphertextMachine(SCHEDULE, Encoded(SCHEDULE, lambda machine: None), made)
        encoder, plaintext = seal.CKKSEncoder(machine.context), seal.Plaintext()
        encoder.encode([0.0] * SLOTS, 2.0**30, plaintext)
        query = load_ciphertext(machine.context, keys.encrypt(plaintext), level=2, scale=2.0**30)
        answer = summed(machine, Value([query], 2.0**30, 2))
        found.append(np.array(encoder.decode_complex(keys.decrypt(answer.payload[0]))).real)
    return np.array(found)


def test_repeated_steps_err_on_ciphertexts_as_they_do_along_the_program():
    errors = measured()
    machine = KeyErrors(SCHEDULE)
    own = summed(machine, machine.fresh(machine.encrypted(np.zeros((1, SLOTS))))).payload.errors
    chance = SlotNoise(SCHEDULE, by_unit=False)
    independent = summed(chance, chance.fresh(chance.encrypted(np.zeros((1, SLOTS))))).payload.variance
    expected = np.mean(own.real**2, axis=(0, 1)) + independent
    loud = np.argsort(expected)[::-1][:STEPS]
    found = np.sqrt(np.mean(errors[:, loud] ** 2))
    assert 0.5 < found / np.sqrt(expected[loud].mean()) < 2
    assert found > 2 * np.sqrt(np.broadcast_to(independent, SLOTS)[loud].mean())


def test_the_noisiest_slot_of_a_period_counts_over_all_its_copies():
    errors = np.zeros((2, 1, 8), complex)
    errors[:, 0, 1] = 3.0, 1j  # copies of slot 1 are 1 and 5
    errors[:, 0, 5] = 1.0, 3j
    assert deviation(errors, 4) == pytest.approx(np.sqrt((9 + 0 + 1 + 0) / 4))


def test_a_plan_is_the_same_every_time():
    first, second = (KeyErrors(SCHEDULE)._turned("7/0") for _ in range(2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, KeyErrors(SCHEDULE)._turned("7/1"))
    np.testing.assert_allclose(np.abs(first), 1.0)
