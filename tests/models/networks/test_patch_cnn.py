import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import fx

from sotto.models import ModelRecord, load, save
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH
from sotto.models.learning.training import Schedule, predict, train
from sotto.models.networks.patch_cnn import SpectrogramPatchCNN, WavePatchCNN

DATA = os.environ.get("SOTTO_DATA", "")
ravdess = pytest.mark.skipif(not (Path(DATA) / "ravdess").is_dir() or not DATA, reason="SOTTO_DATA has no ravdess/")

CASES = [
    (WavePatchCNN, {"block_size": 10}, (3, 4000)),
    (WavePatchCNN, {"block_size": 16, "channels": 8, "width": 12}, (3, 3200)),
    (SpectrogramPatchCNN, {"block_size": 8}, (3, 64, 192)),
    (SpectrogramPatchCNN, {"block_size": 3, "channels": 8, "width": 12}, (3, 30, 60)),
]


@pytest.mark.parametrize(("network", "arguments", "shape"), CASES)
def test_first_convolution_reads_blocks_and_nothing_else_reads_the_input(network, arguments, shape):
    model = network(5, **arguments).eval()
    m = arguments["block_size"]
    assert set(model.patches.kernel_size) == set(model.patches.stride) == {m}
    assert set(model.patches.padding) == {0}
    x = torch.randn(shape)
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (3, 5)
        # With the kernel at zero the answer no longer depends on the input.
        model.patches.weight.zero_()
        assert torch.equal(model(x), model(torch.randn(shape)))


@pytest.mark.parametrize(("network", "arguments", "shape"), CASES)
def test_a_channel_axis_is_welcome_and_tails_are_not_read(network, arguments, shape):
    model = network(5, **arguments).eval()
    x = torch.randn(shape)
    tails = torch.nn.functional.pad(x, (0, 2) if len(shape) == 2 else (0, 2, 0, 2), value=9.0)
    with torch.no_grad():
        assert torch.equal(model(x[:, None]), model(x))
        assert torch.equal(model(tails), model(x))
        with pytest.raises(RuntimeError):
            model(x[:, None].expand(-1, 2, *(-1 for _ in shape[1:])))


@pytest.mark.parametrize(("network", "arguments", "shape"), CASES)
def test_traces(network, arguments, shape):
    model = network(5, **arguments).eval()
    x = torch.randn(shape)
    with torch.no_grad():
        assert torch.equal(fx.symbolic_trace(model)(x), model(x))


@pytest.mark.parametrize("recipe", [WAVE_PATCH, SPECTROGRAM_PATCH])
def test_recipes_save_and_load(tmp_path, recipe):
    spec = recipe.features
    lengths = spec.shape
    m = recipe.arguments["block_size"]
    assert all(length % m == 0 for length in lengths), "features in whole blocks leave nothing unread"
    classes = tuple("abcdefgh")
    arguments = {"classes": 8, **recipe.arguments}
    torch.manual_seed(0)
    model = (WavePatchCNN if len(lengths) == 1 else SpectrogramPatchCNN)(**arguments).eval()
    record = ModelRecord(architecture=recipe.architecture, arguments=arguments, classes=classes)
    save(tmp_path / "m", model, record)
    x = np.random.default_rng(0).normal(size=(2, *lengths)).astype(np.float32)
    np.testing.assert_array_equal(predict(load(tmp_path / "m")[0], x), predict(model, x))


def test_learns_pitch_from_waveforms():
    """Two classes that differ in pitch alone, never in level or phase: chance is a half."""
    generator = np.random.default_rng(0)
    pitch = np.where(np.arange(160) % 2, 150, 300) * generator.uniform(0.9, 1.1, 160)
    time = np.arange(8000) / 16_000
    phase = generator.uniform(0, 6, (160, 1))
    x = sum(np.sin(2 * np.pi * k * pitch[:, None] * time + k * phase) for k in (1, 2, 3)).astype(np.float32)
    trained = train(
        lambda: WavePatchCNN(2, channels=8, width=12),
        x,
        np.arange(160) % 2,
        speakers=[str(i) for i in range(160)],
        training=range(120),
        schedule=Schedule(epochs=8, batch=20, rate=5e-3, average=0.5, patience=None),
    )
    guessed = predict(trained.module, x[120:]).argmax(1)
    assert (guessed == np.arange(120, 160) % 2).mean() > 0.9


@ravdess
@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "least"), [(WAVE_PATCH, 0.35), (SPECTROGRAM_PATCH, 0.45)])
def test_accuracy_on_speakers_never_heard(recipe, least):
    """Eight emotions, chance is 0.13."""
    from sotto.audio import load_corpus
    from sotto.audio.splits import speaker_split
    from sotto.models.learning.fitting import fit

    corpus = load_corpus("ravdess", Path(DATA) / "ravdess")
    _, record = fit(corpus, speaker_split(corpus), recipe)
    assert record.scores["accuracy"] >= least
