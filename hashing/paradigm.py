"""What every command knows of ``hashing``."""

from __future__ import annotations

from sotto.serving.registry import Paradigm

PARADIGM = Paradigm(
    name="hashing",
    modes=("smh",),
    service="sotto.hashing.service",
    experiment="sotto.hashing.experiment",
    preload=("sotto.hashing.bob",),
    models=("discriminant-k5", "standard-k3", "standard-k2", "standard-k5"),
    networks=("svm",),
    no_others="Bob sees hashes, not features: what reads them is a kernel machine on their Hamming distances",
    no_samples="hashes keep the distances of what is hashed, and those of samples do not tell classes apart",
    missing_values={
        ("", "max_abs_error"): "the hashed and the plaintext classifier are two different models",
        ("", "security.computational_bits"): "no reduction to a hard problem is known",
        ("", "security.statistical_bits"): "hiding depends on the data: see the leakage metric",
    },
)
