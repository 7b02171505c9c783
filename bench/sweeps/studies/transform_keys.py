"""The secret-key transforms over keys, key types, networks and speaker folds, with wrong keys and attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import cast

import numpy as np
import torch

from sotto import keyed
from sotto.audio.splits import speaker_folds
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model
from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.sweeps.studies.axes import Axis, SweepError
from sotto.bench.workbench import Workbench
from sotto.keyed.attacks import blocks_until_exact, decrypt_without_key
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH, Recipe
from sotto.models.learning.training import predict

DESCRIPTION = "secret-key transforms: accuracy with the right and with a wrong key, and attacks, over keys and folds"
MODULES: tuple[str, ...] = ("sotto.keyed", "sotto.bench.emotion.emotion_models", __name__)

_RECIPES: Mapping[str, tuple[Recipe, int]] = {
    "wave-patch": (WAVE_PATCH, 1),
    "spectrogram-patch": (SPECTROGRAM_PATCH, 2),
}
_FOLDS = 6
_WRONG = 1 << 32  # added to a key's seed: the seed of a key that does not fit


def axes(preset: str) -> Mapping[str, Axis]:
    """What varies."""
    return {
        "model": Axis(tuple(_RECIPES), "network", tuple(_RECIPES)),
        "key_type": Axis(keyed.KEY_TYPES, "transform", keyed.KEY_TYPES),
        "attack": Axis(("none",), "what else is measured", ("none", "ciphertext-only", "known-plaintext")),
        "fold": Axis((0,) if preset == "quick" else tuple(range(_FOLDS)), "which speakers are tested", repeats=True),
        "key": Axis((0, 1, 2), "seed of the secret key", repeats=True),
    }


def prepare(bench: Workbench) -> None:
    """The features of every clip; networks are trained by the first task that needs them, and cached."""
    for recipe, _ in _RECIPES.values():
        bench.features(recipe.features)


def run(bench: Workbench, parameters: Mapping[str, JSONValue]) -> Row:
    """One key on one fold."""
    name, number = str(parameters["model"]), int(cast(int, parameters["fold"]))
    if number >= _FOLDS:
        raise SweepError("no-such-fold", f"there are {_FOLDS} folds: fold is 0 to {_FOLDS - 1}")
    there = _at_fold(bench, number)
    model = _trained(there, name)
    recipe, dimension = _RECIPES[name]
    seed, kind = int(cast(int, parameters["key"])), str(parameters["key_type"])
    size = int(str(recipe.arguments["block_size"]))
    key, wrong = (keyed.generate_key(kind, size, dimension, seed=number) for number in (seed, seed + _WRONG))
    queries, truth = torch.from_numpy(there.part(model.queries, "test")), there.part(there.targets, "test")
    encrypted = keyed.encrypt_model(model.module, key, example=model.example)
    answers, fooled = (predict(encrypted, keyed.encrypt(queries, each).numpy()).argmax(1) for each in (key, wrong))
    plain, _ = model.plain(queries.numpy())
    metrics: dict[str, float | None] = {"accuracy_wrong_key": float(np.mean(fooled == truth))}
    public = torch.from_numpy(there.part(model.queries, "train"))
    if parameters["attack"] == "ciphertext-only":
        outcome = decrypt_without_key(queries, public, key, starts=32)
        metrics["attack_recovered_correlation"] = outcome.correlation
        metrics["attack_key_exact"] = float(outcome.key_exact_up_to_sign)
    if parameters["attack"] == "known-plaintext":
        blocks = blocks_until_exact(queries, key)
        metrics["attack_known_blocks_for_key"] = None if blocks is None else float(blocks)
    return Row(
        paradigm="keyed",
        mode="sweep",
        model=name,
        corpus=bench.corpus.name,
        split=there.split.name,
        seed=bench.seed,
        n_queries=len(truth),
        parameters={**parameters, "block_size": size},
        accuracy_plain=float(np.mean(plain == truth)),
        accuracy_private=float(np.mean(answers == truth)),
        agreement=float(np.mean(answers == plain)),
        metrics=metrics,
    )


@lru_cache(maxsize=8)
def _at_fold(bench: Workbench, number: int) -> Workbench:
    return replace(bench, split=speaker_folds(bench.corpus, _FOLDS, bench.seed)[number])


@lru_cache(maxsize=16)
def _trained(bench: Workbench, model: str) -> EmotionModel:
    return emotion_model(_RECIPES[model][0], bench)
