"""A corpus of a few spoken-like sounds in a folder, small enough to sweep over in seconds."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile


@pytest.fixture(scope="session")
def voices(tmp_path_factory):
    """Six speakers, two emotions, four clips of each: harmonics at the speaker's pitch, louder when angry."""
    folder = tmp_path_factory.mktemp("voices")
    rng = np.random.default_rng(0)
    seconds = np.arange(8000) / 16000
    lines = ["path,speaker,emotion,sentence"]
    for speaker in range(6):
        for emotion, loudness in (("neutral", 0.1), ("angry", 0.4)):
            for take in range(4):
                pitch = 110 + 15 * speaker + 5 * take
                tone = sum(np.sin(2 * np.pi * pitch * n * seconds) / n for n in range(1, 12))
                sound = loudness * tone / np.abs(tone).max() + 0.003 * rng.normal(size=len(seconds))
                name = f"{speaker}-{emotion}-{take}.wav"
                soundfile.write(folder / name, sound, 16000)
                lines.append(f"{name},s{speaker},{emotion},{take % 2}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """One cache for the session's sweeps, so that features are computed once; results go elsewhere."""
    folder = tmp_path_factory.getbasetemp() / "sweeps-cache"
    monkeypatch.setenv("SOTTO_CACHE", str(folder))
    return folder


@pytest.fixture
def plan(voices, cache):
    """Makes plans on ``voices``: two values of k and three keys unless told otherwise."""
    from sotto.bench.sweeps.plan import open_plan

    def make(study="hashing", vary=("k=2,3", "key=0..2", "fold=0", "mpc=4")):
        return open_plan(study, vary, "manifest", voices, say=lambda line: None)[0]

    return make
