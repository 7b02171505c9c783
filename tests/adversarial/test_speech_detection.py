"""Attackers that look for speech find what is there, whatever its shape, and nothing where nothing is."""

import numpy as np
import pytest

from adversarial.attacks import speech_detection
from adversarial.attacks.classifiers import ARCHITECTURES
from adversarial.errors import AttackError


def clips(n, seed, hide):
    rng = np.random.default_rng(seed)
    speech = np.arange(n) % 2 == 0
    z = rng.normal(size=(n, 16))
    if hide == "mean":
        z[:, 0] += 2.0 * speech
    elif hide == "spread":  # equal means: no linear attacker can see it
        z[speech, :4] *= 3.0
    elif hide == "corner":  # nor equal covariances alone
        z[:, 0] = np.abs(z[:, 0]) * np.where(speech, 1, -1) * np.sign(z[:, 1])
    return z, speech


@pytest.mark.parametrize(("hide", "least", "most"), [("mean", 0.85, 1), ("spread", 0.85, 1), ("corner", 0.85, 1)])
def test_what_is_there_is_found(hide, least, most):
    found = speech_detection.attack(*clips(240, 1, hide), *clips(200, 2, hide), seed=0)
    assert least < found.auc <= most
    assert found.accuracy > 0.7
    assert found.auc == found.by_architecture[found.chosen] <= found.strongest
    if hide != "mean":
        assert found.by_architecture["logistic"] < 0.75 < found.auc


def test_noise_tells_nothing():
    found = speech_detection.attack(*clips(240, 1, "nothing"), *clips(200, 2, "nothing"), seed=0)
    assert 0.35 < found.auc < 0.65
    assert found.chance == 0.5
    assert found.by_architecture.keys() == found.validation.keys() == {*ARCHITECTURES, "vote"}


def test_the_attacker_is_chosen_on_his_own_clips():
    """Test answers turned round turn his figures round, and change nothing in what he chose."""
    train, (z, speech) = clips(240, 1, "mean"), clips(100, 2, "mean")
    right = speech_detection.attack(*train, z, speech, seed=0)
    wrong = speech_detection.attack(*train, z, ~speech, seed=0)
    assert wrong.chosen == right.chosen
    assert wrong.validation == right.validation
    assert wrong.auc == pytest.approx(1 - right.auc)
    assert wrong.accuracy == pytest.approx(1 - right.accuracy)


def test_clips_of_one_recording_stay_in_one_fold():
    """Ten copies of every clip: an attacker whose folds share recordings believes that he sees speech in noise."""
    z, speech = clips(40, 1, "nothing")
    many, answers, groups = np.repeat(z, 10, 0), np.repeat(speech, 10), np.repeat(np.arange(40), 10)
    test = clips(100, 2, "nothing")
    apart = speech_detection.attack(many, answers, *test, seed=0, groups=groups)
    together = speech_detection.attack(many, answers, *test, seed=0)
    assert together.validation["trees"] > 0.99
    assert apart.validation["trees"] < 0.8


def test_the_curve_is_that_of_the_area():
    found = speech_detection.attack(*clips(240, 1, "mean"), *clips(200, 2, "mean"), seed=0)
    false, true = found.roc
    assert np.trapezoid(true, false) == pytest.approx(found.auc)
    assert (np.diff(false) >= 0).all()


@pytest.mark.parametrize(
    ("z", "speech"),
    [
        (np.zeros((10, 16)), np.zeros(10, bool)),
        (np.zeros((10, 16)), np.zeros(9, bool)),
        (np.zeros(10), np.arange(10) % 2 == 0),
        (np.full((10, 16), np.nan), np.arange(10) % 2 == 0),
        (np.zeros((10, 4)), np.arange(10) % 2 == 0),
    ],
)
def test_clips_that_allow_no_attack_are_refused(z, speech):
    with pytest.raises(AttackError) as caught:
        speech_detection.attack(z, speech, *clips(20, 2, "mean"), seed=0)
    assert "\n" not in str(caught.value)
