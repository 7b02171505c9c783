"""What every command knows of ``he``."""

from __future__ import annotations

from sotto.serving.registry import Paradigm

_MODELS = (
    "mlp-poly2", "mlp-poly4", "mlp-poly6", "depinto-poly2", "depinto-poly4", "depinto-poly6", "frames-poly2",
    "frames-poly4", "filterbank-poly2",
)  # fmt: skip

PARADIGM = Paradigm(
    name="he",
    modes=("packed", "batched", "tenseal"),
    service="sotto.he.service",
    experiment="sotto.he.experiment",
    preload=("sotto.he.bob",),
    models=_MODELS,
    networks=_MODELS,
    no_others="ciphertexts are added and multiplied: activations are polynomials of degree 2, 4 or 6, and not many",
    no_samples="",
    on_samples="a logarithm is no polynomial; filterbank-poly2 takes samples, through filters and squares",
    missing_values={
        ("tenseal", "per_query_ms_batched"): "a ckks_vector holds one query; batches are answered one by one",
        ("packed", "per_query_ms_batched"): "a ciphertext holds one query; mode batched holds thousands",
        ("", "security.statistical_bits"): "the security is computational only; answers are not flooded",
    },
)
