"""What every command knows of ``keyed``."""

from __future__ import annotations

from sotto.serving.registry import Paradigm

PARADIGM = Paradigm(
    name="keyed",
    modes=("encrypted",),
    service="sotto.keyed.service",
    experiment="sotto.keyed.experiment",
    preload=("torch",),
    models=("wave-patch", "spectrogram-patch"),
    prepared_as=("shuffling", "flipping", "rom"),
    networks=("wave-patch", "spectrogram-patch"),
    no_others="the key goes into a first convolution that reads the input in blocks, each value once",
    no_samples="",
    on_samples="wave-patch reads the samples themselves",
    missing_values={
        ("", "security.computational_bits"): "a linear transform of the data: a key space is not a security level",
        ("", "security.statistical_bits"): "deterministic: equal blocks stay equal",
    },
)
