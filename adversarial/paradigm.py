"""What every command knows of ``adversarial``."""

from __future__ import annotations

from sotto.serving.registry import Paradigm

PARADIGM = Paradigm(
    name="adversarial",
    modes=("representation",),
    service="sotto.adversarial.service",
    experiment="sotto.adversarial.experiment",
    preload=("torch",),
    models=("rdal-m", "rdal", "baseline"),
    networks=("unet-cnn6", "cnn6"),
    no_others="sensor and classifier are trained together against attackers, on a task of their own",
    no_samples="its sensor is Alice's device, and what that computes is all that protects her",
    missing_values={
        ("", "max_abs_error"): "the plaintext network is another one, trained without an adversary",
        ("", "key_bytes"): "there is no key: what is not sent is all the protection",
        ("", "security.computational_bits"): "no computational assumption: privacy is what attackers did not find",
        ("", "security.statistical_bits"): "no bound: privacy was measured, not proven",
    },
)
