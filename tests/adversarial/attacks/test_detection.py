"""Attackers that look for speech find what is there, whatever its shape, and nothing where nothing is."""

import numpy as np
import pytest

from sotto.adversarial.attacks import detection
from sotto.adversarial.attacks.classifiers import ARCHITECTURES
from sotto.adversarial.errors import AttackError


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


FEW = {name: ARCHITECTURES[name] for name in ("logistic", "quadratic-discriminant", "svm", "boosting")}


@pytest.fixture
def few(monkeypatch):
    """Four quick architectures."""
    monkeypatch.setattr(detection, "ARCHITECTURES", FEW)


@pytest.fixture(scope="module")
def shifted():
    """The attack on z whose mean speech moves."""
    return detection.detect(*clips(160, 1, "mean"), *clips(200, 2, "mean"), seed=0)


def test_what_is_there_is_found(shifted):
    assert 0.85 < shifted.auc <= 1
    assert shifted.accuracy > 0.7
    assert shifted.auc == shifted.by_architecture[shifted.chosen] <= shifted.strongest


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("hide", ["spread", "corner"])
def test_what_no_linear_attacker_sees_is_found(hide):
    found = detection.detect(*clips(240, 1, hide), *clips(200, 2, hide), seed=0)
    assert found.by_architecture["logistic"] < 0.75
    assert found.auc > 0.85
    assert found.accuracy > 0.7


def test_noise_tells_nothing():
    found = detection.detect(*clips(160, 1, "nothing"), *clips(200, 2, "nothing"), seed=0)
    assert 0.35 < found.auc < 0.65
    assert found.chance == 0.5
    assert found.by_architecture.keys() == found.validation.keys() == {*ARCHITECTURES, "vote"}


def test_the_attacker_is_chosen_on_his_own_clips(shifted):
    """Test answers turned round turn his figures round, and change nothing in what he chose."""
    z, speech = clips(200, 2, "mean")
    wrong = detection.detect(*clips(160, 1, "mean"), z, ~speech, seed=0)
    assert wrong.chosen == shifted.chosen
    assert wrong.validation == shifted.validation
    assert wrong.auc == pytest.approx(1 - shifted.auc)
    assert wrong.accuracy == pytest.approx(1 - shifted.accuracy)


def test_little_from_each_clip_adds_up(shifted):
    one, ten = (shifted.auc_of_several(clips, seed=0) for clips in (1, 10))
    assert one == pytest.approx(shifted.auc, abs=0.03)
    assert ten > one + 0.05


def test_clips_of_one_recording_stay_in_one_fold(monkeypatch):
    """Ten copies of every clip: an attacker whose folds share recordings believes that he sees speech in noise."""
    monkeypatch.setattr(detection, "ARCHITECTURES", {"trees": ARCHITECTURES["trees"]})
    z, speech = clips(40, 1, "nothing")
    many, answers, groups = np.repeat(z, 10, 0), np.repeat(speech, 10), np.repeat(np.arange(40), 10)
    test = clips(100, 2, "nothing")
    apart = detection.detect(many, answers, *test, seed=0, groups=groups)
    together = detection.detect(many, answers, *test, seed=0)
    assert together.validation["trees"] > 0.99
    assert apart.validation["trees"] < 0.8


def test_the_curve_is_that_of_the_area(shifted):
    false, true = shifted.roc
    assert np.trapezoid(true, false) == pytest.approx(shifted.auc)
    assert (np.diff(false) >= 0).all()


@pytest.mark.parametrize(
    ("z", "speech"),
    [
        (np.zeros((80, 16)), np.zeros(80, bool)),
        (np.zeros((80, 16)), np.zeros(79, bool)),
        (np.zeros(80), np.arange(80) % 2 == 0),
        (np.full((80, 16), np.nan), np.arange(80) % 2 == 0),
        (np.zeros((80, 4)), np.arange(80) % 2 == 0),
        (np.zeros((20, 16)), np.arange(20) % 2 == 0),
    ],
)
def test_clips_that_allow_no_attack_are_refused(z, speech):
    with pytest.raises(AttackError) as caught:
        detection.detect(z, speech, *clips(20, 2, "mean"), seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("few")
def test_an_attacker_who_has_much_speech_does_not_hear_it_everywhere():
    """Four clips with speech for every one without: the threshold is for clips of which half hold speech."""
    z, speech = clips(400, 1, "mean")
    kept = speech | (np.arange(400) % 8 == 1)
    found = detection.detect(z[kept], speech[kept], *clips(200, 2, "mean"), seed=0)
    assert found.accuracy > 0.72
