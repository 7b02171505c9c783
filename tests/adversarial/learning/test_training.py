"""Training: seeded, resumable, and what it claims to do to M, F, C and D."""

from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from sotto.adversarial.learning import training
from sotto.adversarial.learning.discriminator import Discriminator
from sotto.adversarial.learning.pool import make_pool
from sotto.adversarial.learning.recipe import COLUMNS, Recipe, Separation, recipe
from sotto.adversarial.learning.renewal import renew
from sotto.adversarial.learning.training import train
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sounds.divided_sounds import made_up_material
from sotto.models import ModelError
from sotto.models.learning.seeding import seeded
from tests.error_codes import raises_code

TINY = Recipe(
    "rdal-m-fixed-mask",
    rate=8_000,
    mask="continuous",
    adversarial=True,
    extractor=(2, 4),
    floor=1e-3,
    epochs=4,
    quiet=1,
    ramp=2,
    renew_every=2,
    renew_epochs=2,
    separation=Separation(filters=(2, 2), epochs=2),
)
STRONG = replace(TINY, strengthened=True, pairs=True, copies=2, shift=True, average=0.9, clip=True, settle=1)


@pytest.fixture(scope="module")
def material():
    return made_up_material(rate=8_000, events=5, speakers=6)


def weights(trained):
    return torch.cat([p.flatten() for p in (*trained.sensor.state_dict().values(), *trained.classifier.parameters())])


@pytest.mark.parametrize("plan", [TINY, replace(STRONG, discriminators=2, invariance=1.0)])
def test_the_same_seed_gives_the_same_weights_and_leaves_the_callers_generator_alone(material, plan):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first = train(material, plan, seed=3)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(weights(first), weights(train(material, plan, seed=3)))
    assert not torch.equal(weights(first), weights(train(material, plan, seed=4)))


def interrupted_after(epochs, material, plan, checkpoints, monkeypatch):
    real, calls = training._epoch, []

    def interrupted(*arguments):
        if len(calls) == epochs:
            raise KeyboardInterrupt
        calls.append(1)
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(training, "_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(material, plan, seed=0, checkpoints=checkpoints)


@pytest.mark.parametrize("plan", [TINY, STRONG, replace(STRONG, learnable=True)])
def test_an_interrupted_training_ends_as_if_it_had_not_been(material, plan, tmp_path, monkeypatch):
    whole = train(material, plan, seed=0)
    interrupted_after(2, material, plan, tmp_path, monkeypatch)
    resumed = train(material, plan, seed=0, checkpoints=tmp_path)
    assert resumed.curve == whole.curve
    assert resumed.separation == whole.separation
    assert torch.equal(weights(resumed), weights(whole))


def test_a_finished_training_is_read_and_not_run_again(material, tmp_path, monkeypatch):
    done = train(material, TINY, seed=0, checkpoints=tmp_path)
    monkeypatch.setattr("sotto.adversarial.learning.training._epoch", None)
    monkeypatch.setattr("sotto.adversarial.learning.separation_training._epoch", None)
    assert torch.equal(weights(train(material, TINY, seed=0, checkpoints=tmp_path)), weights(done))


@pytest.mark.parametrize("damage", [b"", b"\xff" * 100, None])
def test_a_damaged_checkpoint_is_told_and_training_starts_afresh(material, tmp_path, damage, caplog):
    plan = replace(TINY, mask="none")
    done = train(material, plan, seed=0, checkpoints=tmp_path)
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(path.read_bytes()[:-50] if damage is None else damage)
    again = train(material, plan, seed=0, checkpoints=tmp_path)
    assert caplog.text.count("training starts afresh") == 1
    assert torch.equal(weights(again), weights(done))


@pytest.mark.parametrize("name", ["random.own", "random.torch", "optimiser.0.momentum_buffer"])
def test_a_checkpoint_of_which_one_part_does_not_fit_changes_nothing(material, tmp_path, name, caplog, monkeypatch):
    plan = replace(TINY, mask="none", epochs=2)
    done = train(material, plan, seed=0)
    interrupted_after(1, material, plan, tmp_path, monkeypatch)
    (path,) = tmp_path.glob("*.safetensors")
    with safe_open(path, framework="pt") as file:
        tensors, record = {n: file.get_tensor(n) for n in file.keys()}, file.metadata()  # noqa: SIM118
    assert name in tensors
    altered = {n: t + 1 if t.is_floating_point() else t for n, t in tensors.items()}
    save_file({**altered, name: torch.zeros(3, dtype=tensors[name].dtype)}, path, metadata=record)
    again = train(material, plan, seed=0, checkpoints=tmp_path)
    assert "training starts afresh" in caplog.text
    assert torch.equal(weights(again), weights(done))


def test_a_fixed_mask_stays_as_it_was_pretrained_and_a_learnable_one_does_not(material, tmp_path):
    fixed = train(material, TINY, seed=0, checkpoints=tmp_path)
    masked = train(material, replace(TINY, adversarial=False), seed=0, checkpoints=tmp_path)
    assert all(
        torch.equal(a, b) for a, b in zip(*(t.sensor.separation.parameters() for t in (fixed, masked)), strict=True)
    )
    assert len(fixed.separation) == 2
    learnt = train(material, replace(TINY, learnable=True), seed=0)
    torch.manual_seed(0)
    start = Sensor(**TINY.sensor_arguments)
    assert not torch.equal(next(learnt.sensor.separation.parameters()), next(start.separation.parameters()))
    assert learnt.separation == ()


def test_lambda_is_zero_first_and_then_rises(material):
    curve = train(material, TINY, seed=0).curve
    assert [epoch.weight for epoch in curve] == [0.0, 0.5, 1.0, 1.0]
    assert [epoch.renewed is not None for epoch in curve] == [False, True, False, False]
    assert [Recipe("rdal", adversarial=True).weight(epoch) for epoch in (0, 29)] == [0.0, 0.0]
    assert Recipe("supervised").weight(200) == 0.0


def test_pairs_are_an_event_without_and_with_speech(material):
    sensor = Sensor(**STRONG.sensor_arguments)
    pool = make_pool(material["train"], sensor, STRONG, seed=0, device=torch.device("cpu"))
    generator = torch.Generator().manual_seed(0)
    seen = set()
    for chosen in pool.batches(8, generator):
        without, spoken = chosen.chunk(2)
        assert torch.equal(pool.event[without], pool.event[spoken])
        assert not pool.has_speech[without].any()
        assert pool.has_speech[spoken].all()
        drawn = pool.draw(chosen, True, generator)
        assert torch.allclose(drawn.sum(dim=(1, 2)), pool.inputs[chosen].sum(dim=(1, 2)), rtol=1e-3)
        seen |= set(without.tolist())
    assert len(seen) == len(material["train"].events)


def test_a_fresh_discriminator_finds_what_is_there_and_nothing_where_nothing_is():
    with seeded(0) as generator:
        z = torch.randn(400, 64)
        has_speech = (torch.rand(400) < 0.3).float()
        found = renew(Discriminator(), z + 2 * has_speech[:, None], has_speech, epochs=20, generator=generator)
        blind = renew(Discriminator(), torch.zeros_like(z), has_speech, epochs=20, generator=generator)
    assert found < 0.1
    assert 0.68 < blind < 0.71


def test_the_recipes_differ_in_mask_and_adversary_only():
    for preset in ("quick", "full"):
        for strengthened in (False, True):
            recipes = [recipe(column, preset, strengthened=strengthened) for column in COLUMNS]
            assert [r.adversarial for r in recipes] == [False, True, False, False, True, True]
            assert [r.mask for r in recipes] == ["none", "none", "continuous", "binary", "continuous", "continuous"]
            assert [r.learnable for r in recipes] == [False] * 5 + [True]
            assert len({(r.rate, r.extractor, r.step, r.batch, r.pairs, r.copies, r.shift) for r in recipes}) == 1
    published = recipe("rdal-m-fixed-mask", "full", strengthened=False)
    assert (published.step, published.momentum, published.batch, published.quiet) == (1e-2, 0.9, 32, 30)
    assert (published.separation.rate, published.separation.patience) == (1e-3, 20)
    assert published.renew_every in (50, 70)


def test_another_rate_is_refused_in_one_line(material):
    with raises_code(ModelError, "wrong-rate", match="8000 Hz"):
        train(material, replace(TINY, rate=16_000), seed=0)
