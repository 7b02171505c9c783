"""The plain test of what leaks in the open finds every copy, wherever it stands, and nothing else."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sotto.bench.one_clip.simulation import exposed
from sotto.bench.parties.control import Seen


def _seen(*payloads):
    return [Seen("received", "alice", "m", len(payload), payload) for payload in payloads]


@given(st.integers(0, 9), st.sampled_from(["<f4", "<f8", "<i8"]), st.integers(0, 3), st.integers(1, 8))
def test_copies_are_found_at_any_offset_and_in_any_form(offset, form, first, count):
    query = np.random.default_rng(0).normal(size=(1, 24)).astype(np.float32)
    pairs = query.reshape(-1, 2)[first : first + count]
    sent = (pairs * 2**16).astype(form) if form == "<i8" else pairs.astype(form)
    noise = np.random.default_rng(1).bytes(200)
    assert exposed(query, _seen(bytes(offset), sent.tobytes(), noise)) == (count, 12)


def test_nothing_is_found_in_noise_or_in_nothing():
    query = np.random.default_rng(0).normal(size=(1, 24)).astype(np.float32)
    assert exposed(query, _seen(np.random.default_rng(1).bytes(1 << 16))) == (0, 12)
    assert exposed(query, []) == (0, 12)
    assert exposed(np.zeros((1, 4), np.float32), _seen(bytes(64))) == (0, 0)
