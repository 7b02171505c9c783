"""Intervals over speakers: they cover what they should, and are as wide as speakers differ."""

from __future__ import annotations

import numpy as np
import pytest

from sotto.bench.listeners.experiments.bootstrap import over_speakers
from sotto.bench.speech_tasks.verification import equal_error_rate
from sotto.link import BadValue
from tests.error_codes import raises_code


def _mean(values):
    return lambda weights: float(weights @ values / weights.sum())


def test_speakers_who_are_alike_give_no_width_and_unlike_ones_do():
    speakers = np.repeat(["a", "b", "c", "d"], 5)
    alike = over_speakers(_mean(np.tile([0.0, 1, 2, 3, 4], 4)), speakers)
    assert (alike.value, alike.low, alike.high) == pytest.approx((2, 2, 2))
    unlike = over_speakers(_mean(np.repeat([0.0, 1, 2, 3], 5)), speakers)
    assert unlike.value == pytest.approx(1.5)
    assert unlike.low < 1 < 2 < unlike.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(1)
    speakers = np.array([f"{n:02d}" for n in range(30)])
    found = [over_speakers(_mean(generator.normal(size=30)), speakers, draws=200) for _ in range(200)]
    assert 0.88 < np.mean([one.low <= 0 <= one.high for one in found]) < 0.99


def test_one_speaker_has_no_interval():
    with raises_code(BadValue, "too-few-speakers"):
        over_speakers(_mean(np.ones(3)), np.array(["a", "a", "a"]))


def test_a_weighted_equal_error_rate_is_that_of_repeated_pairs():
    generator = np.random.default_rng(2)
    scores, same, times = generator.normal(size=60), np.arange(60) % 3 == 0, generator.integers(0, 4, 60)
    assert equal_error_rate(scores, same, times.astype(float)) == pytest.approx(
        equal_error_rate(np.repeat(scores, times), np.repeat(same, times))
    )
