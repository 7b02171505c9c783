"""What the audio tests share: a cache of their own, and recordings made on the spot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile


@pytest.fixture(autouse=True)
def cache_root(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test starts with an empty cache."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SOTTO_CACHE", str(folder))
    return folder


@pytest.fixture
def record() -> Callable[..., Path]:
    """Write a short voiced-like recording; different seeds give different sound."""

    def write(path: Path, seed: int = 0, seconds: float = 0.2, rate: int = 16000, channels: int = 1) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(seed)
        time = np.arange(int(seconds * rate)) / rate
        pitch = generator.uniform(90, 250)
        voice = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 9)) * 0.1
        sound = voice + 0.01 * generator.standard_normal(time.size)
        soundfile.write(path, np.stack([sound] * channels, axis=1), rate)
        return path

    return write
