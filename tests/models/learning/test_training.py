"""Training: the same seed gives the same model, a speaker is never on both sides, and it learns."""

import numpy as np
import pytest
import torch
from torch import nn

from sotto.link import BadValue
from sotto.models import ModelError
from sotto.models.learning.training import Schedule, predict, require_disjoint, train
from tests.error_codes import raises_code

CLASSES, SPEAKERS = 4, 10


@pytest.fixture(scope="module")
def spoken():
    """Features whose class is a direction and whose speaker is an offset."""
    generator = np.random.default_rng(0)
    y = np.arange(400) % CLASSES
    speakers = [str(k) for k in generator.integers(0, SPEAKERS, 400)]
    x = generator.normal(size=(400, 12)).astype(np.float32)
    x[np.arange(400), y] += 3
    x[:, 6:] += generator.normal(size=(SPEAKERS, 6))[[int(s) for s in speakers]]
    who = {part: [i for i, s in enumerate(speakers) if low <= int(s) < high] for part, low, high in PARTS}
    return x, y, speakers, who


PARTS = (("training", 0, 6), ("validation", 6, 8), ("test", 8, 10))


def network():
    return nn.Sequential(nn.Linear(12, 24), nn.BatchNorm1d(24), nn.ReLU(), nn.Dropout(0.1), nn.Linear(24, CLASSES))


def run(spoken, seed=0, **schedule):
    x, y, speakers, who = spoken
    schedule = Schedule(**{"epochs": 12, "batch": 16, "rate": 5e-3, "average": 0.9, "patience": 5, **schedule})
    watched = who["validation"] if schedule.patience is not None else ()
    return train(
        network, x, y, speakers=speakers, training=who["training"], validation=watched, schedule=schedule, seed=seed
    )


def test_learns_speakers_it_has_not_heard(spoken):
    x, y, _, who = spoken
    trained = run(spoken)
    test = who["test"]
    assert (predict(trained.module, x[test]).argmax(1) == y[test]).mean() > 0.7
    assert trained.losses[-1] < trained.losses[0]
    assert not trained.module.training


@pytest.mark.parametrize("mixup", [0.0, 0.3])
def test_same_seed_same_weights(spoken, mixup):
    torch.manual_seed(1)
    one = run(spoken, seed=5, mixup=mixup)
    torch.manual_seed(2)
    torch.set_num_threads(2)
    two = run(spoken, seed=5, mixup=mixup)
    other = run(spoken, seed=6, mixup=mixup)
    assert one.losses == two.losses
    for name, tensor in one.module.state_dict().items():
        assert torch.equal(tensor, two.module.state_dict()[name]), name
    assert one.losses != other.losses


def test_leaves_the_random_state_of_the_caller(spoken):
    before, threads = torch.random.get_rng_state(), torch.get_num_threads()
    run(spoken, epochs=1)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.get_num_threads() == threads


def test_early_stopping_returns_the_best_weights(spoken):
    x, y, _, who = spoken
    trained = run(spoken, epochs=60, patience=3)
    assert trained.epochs == trained.best + 3 < 60
    watched = who["validation"]
    found = (predict(trained.module, x[watched]).argmax(1) == y[watched]).mean()
    assert found == pytest.approx(max(trained.validation))
    assert trained.validation[trained.best - 1] == max(trained.validation)


def test_without_patience_all_epochs_run(spoken):
    trained = run(spoken, epochs=4, patience=None)
    assert (trained.epochs, trained.best, trained.validation) == (4, 4, ())


def test_refuses_a_speaker_on_both_sides(spoken):
    x, y, speakers, who = spoken
    leaking = [*who["validation"][:-1], who["training"][0]]
    with raises_code(
        ModelError, "shared-speaker", match=f"speaker {speakers[leaking[-1]]} is in training and in validation"
    ):
        train(network, x, y, speakers=speakers, training=who["training"][1:], validation=leaking)


def test_fewer_examples_than_a_batch_are_one_batch(spoken):
    x, y, speakers, who = spoken
    few = {"training": who["training"][:3], "validation": who["validation"]}
    trained = train(network, x, y, speakers=speakers, **few, schedule=Schedule(epochs=2, batch=64))
    assert len(trained.losses) == 2


def test_require_disjoint_refuses_positions_outside():
    with raises_code(ModelError, "bad-index"):
        require_disjoint(["a", "b"], training=[0], test=[2])
    with raises_code(ModelError, "bad-index"):
        require_disjoint(["a", "b"], training=[-1])
    require_disjoint(["a", "b"], training=[0], test=[1])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"targets": [0, 1]}, "length-mismatch"),
        ({"training": [0]}, "too-few-examples"),
        ({"validation": []}, "no-validation"),
        ({"targets": [9] * 400}, "bad-target"),
    ],
)
def test_refuses_what_does_not_fit(spoken, change, says):
    x, y, speakers, who = spoken
    good = {"targets": y, "training": who["training"], "validation": who["validation"]}
    with raises_code(ModelError, says):
        train(network, x, speakers=speakers, **{**good, **change})


def test_says_when_the_loss_explodes(spoken):
    x, y, speakers, who = spoken
    with raises_code(ModelError, "loss-diverged"):
        train(
            lambda: nn.Linear(12, CLASSES),
            x * 1e20,
            y,
            speakers=speakers,
            training=who["training"],
            schedule=Schedule(epochs=5, rate=1e30, patience=None),
        )


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"rate": 0.0}, {"average": 1.0}, {"patience": 0}, {"mixup": -1.0}])
def test_schedule_refuses(wrong):
    with raises_code(BadValue, "bad-schedule"):
        Schedule(**wrong)
