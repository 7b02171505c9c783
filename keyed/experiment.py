"""`keyed`: Shuffling, Flipping and random orthogonal matrices on waveforms and spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from sotto import keyed
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model
from sotto.bench.experiment import Configuration, Experiment, Plan
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.bench.workbench import Workbench
from sotto.keyed import parties
from sotto.keyed.attacks import (
    blocks_until_exact,
    chosen_blocks,
    chosen_speech,
    decrypt_without_key,
    guess_key,
    judge,
    keys_from_chosen,
    train_inverter,
)
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH, Recipe
from sotto.models.learning.training import predict
from sotto.serving import registry
from sotto.serving.folders import KEY_FILE, MODEL_FILE
from sotto.serving.terms import FrontEnd

ATTACKS = {
    "keyed-second-order": "ROM: Bob turns encrypted queries until they are as stationary, and as likely, as speech is",
    "keyed-jigsaw": "Shuffling: Bob puts encrypted queries back in the order in which neighbours are alike",
    "keyed-signs": "Flipping: Bob finds the signs with which neighbours go together as in public speech",
    "keyed-known-plaintext": "somebody who knows a clip in the clear computes the key from it and its encryption",
    "keyed-chosen-plaintext": "somebody reads the key off the encryption of the shortest clip that was made for it",
    "keyed-wrong-key": "somebody without the key asks under other keys; how often the answer is right",
    "keyed-neural-inverter": "Bob guesses the key with a network that was trained on public speech under other keys",
}
_CIPHERTEXT_ONLY = {"rom": "keyed-second-order", "shuffling": "keyed-jigsaw", "flipping": "keyed-signs"}

SECURITY = Security(
    adversary="semi-honest Bob without the key, who must not guess it",
    trusted="the model owner and everyone who holds the shared key",
    computational_bits=None,
    statistical_bits=None,
    leaks="to Bob the class and most of the speech, recovered from queries alone; the key to whoever knows one clip",
    hides="no",
    broken="most of the speech is recovered from queries alone",
)
_RECIPES: Mapping[str, tuple[Recipe, int]] = {  # and the dimension of a block
    "wave-patch": (WAVE_PATCH, 1),
    "spectrogram-patch": (SPECTROGRAM_PATCH, 2),
}
_KINDS = ("shuffling", "flipping", "rom")
_WRONG_KEYS = 5  # as in the papers: the mean of five
_PUBLIC = 200  # clips that suffice an attacker on one query


def missing() -> str | None:
    """Everything is a requirement of the package."""
    return None


def cells(preset: str) -> list[Configuration]:
    """Each key type on waveform blocks of 1 × M and, in full, on spectrogram blocks of M × M."""
    return [
        Configuration("keyed", kind, model, {"key_type": kind, "block_size": int(str(recipe.arguments["block_size"]))})
        for model, (recipe, _) in _RECIPES.items()
        if preset != "quick" or model == "wave-patch"
        for kind in _KINDS
    ]


def sample_cells(preset: str) -> list[Configuration]:
    """Those whose network reads the samples themselves."""
    return [cell for cell in cells(preset) if cell.model == "wave-patch"]


def build(cell: Configuration, bench: Workbench) -> Experiment:
    """Train the network, encrypt it as its owner would, and set up Alice, who has the key, and Bob, who has not."""
    recipe, dimension = _RECIPES[cell.model]
    emotion = emotion_model(recipe, bench)
    key = keyed.generate_key(cell.mode, int(str(cell.parameters["block_size"])), dimension)
    key_file = bench.folder / f"{cell.model}-{key.kind}.key"
    model_file = bench.folder / f"{cell.model}-{key.kind}.safetensors"
    keyed.save_key(key_file, key)
    keyed.save_encrypted_model(model_file, emotion.module, key, emotion.record, example=emotion.example)
    return Experiment(
        cell=cell,
        parts=_parts(key_file, model_file, "class"),
        score_parts=_parts(key_file, model_file, "logits"),
        queries=bench.part(emotion.queries, "test"),
        truth=bench.part(bench.targets, "test"),
        query=emotion.query,
        plain=emotion.plain,
        security=SECURITY,
        plan=Plan(singles=30, clips=bench.clips, table=bench.clips, batch=32, sessions=2 if bench.quick else 3),
        network=emotion.module,
        features_at="none" if cell.model == "wave-patch" else "alice",
        key_bytes=key_file.stat().st_size,
        attacks={
            _CIPHERTEXT_ONLY[key.kind]: lambda: _guess(key, emotion, bench),
            "keyed-known-plaintext": lambda: _know_a_clip(key, emotion, bench),
            "keyed-chosen-plaintext": lambda: _choose_a_clip(key),
            "keyed-wrong-key": lambda: {"accuracy_wrong_key": _with_wrong_keys(key, emotion, bench)},
        },
        slow_attacks={"keyed-neural-inverter": lambda: _learn_from_other_keys(key, emotion, bench)},
        reconstruct=lambda received: _reconstruct(received, key, emotion, bench),
    )


def _with_wrong_keys(key: keyed.Key, emotion: EmotionModel, bench: Workbench) -> float:
    """Mean accuracy of the encrypted model on queries encrypted under other keys of the same type and size."""
    encrypted = keyed.encrypt_model(emotion.module, key, example=emotion.example)
    queries = torch.from_numpy(bench.part(emotion.queries, "test"))
    truth = bench.part(bench.targets, "test")
    accuracies = []
    for _ in range(_WRONG_KEYS):
        wrong = keyed.generate_key(key.kind, key.block_size, key.dimension)
        labels = predict(encrypted, keyed.encrypt(queries, wrong).numpy()).argmax(1)
        accuracies.append(np.mean(labels == truth))
    return float(np.mean(accuracies))


def _guess(key: keyed.Key, emotion: EmotionModel, bench: Workbench) -> dict[str, float]:
    """Test clips are attacked with training clips, which are of other speakers, as the public speech."""
    speech, public = (torch.from_numpy(bench.part(emotion.queries, part)) for part in ("test", "train"))
    outcome = decrypt_without_key(speech, public, key, starts=32 if bench.quick else 512)
    return {
        "attack_recovered_correlation": outcome.correlation,
        "attack_key_exact": float(outcome.key_exact_up_to_sign),
    }


def _reconstruct(
    received: npt.NDArray[np.float32], key: keyed.Key, emotion: EmotionModel, bench: Workbench
) -> npt.NDArray[np.float32] | None:
    """As :func:`_guess`, from a single query; of ``key`` the attacker has the type and the sizes."""
    training = bench.part(emotion.queries, "train")
    public = training[:: max(1, len(training) // _PUBLIC)]
    encrypted = torch.tensor(received)
    guess = guess_key(encrypted, torch.from_numpy(public), key, starts=32)
    return None if guess is None else keyed.decrypt(encrypted, guess).numpy()


def _know_a_clip(key: keyed.Key, emotion: EmotionModel, bench: Workbench) -> dict[str, float]:
    blocks = blocks_until_exact(torch.from_numpy(bench.part(emotion.queries, "test")), key)
    return {} if blocks is None else {"attack_known_blocks_for_key": float(blocks)}


def _choose_a_clip(key: keyed.Key) -> dict[str, float]:
    """The clip is encrypted as Alice would, and every key that explains what comes back is counted."""
    sizes = key.kind, key.block_size, key.dimension
    clip = chosen_speech(*sizes)
    found = keys_from_chosen(keyed.encrypt(clip, key), *sizes)
    errors = [float(np.abs(guess.matrix() - key.matrix()).max()) for guess in found]
    if len(found) > 1 or errors[0] > 1e-3:
        return {"attack_chosen_key_exact": 0.0}
    return {"attack_chosen_blocks": float(len(chosen_blocks(key.kind, key.length))), "attack_chosen_key_exact": 1.0}


def _learn_from_other_keys(key: keyed.Key, emotion: EmotionModel, bench: Workbench) -> dict[str, float]:
    """As :func:`_guess`, by a network that sees many keys in training and this one never."""
    speech, public = (torch.from_numpy(bench.part(emotion.queries, part)) for part in ("test", "train"))
    steps = 300 if bench.quick else 2000
    inverter = train_inverter(public, key.kind, key.block_size, key.dimension, steps=steps, seed=bench.seed)
    outcome = judge("neural inverter", inverter.guess_key(keyed.encrypt(speech, key)), key, speech, 0)
    return {
        "attack_inverter_correlation": outcome.correlation,
        "attack_inverter_key_exact": float(outcome.key_exact_up_to_sign),
    }


def _parts(key_file: Path, model_file: Path, reveal: str) -> Mapping[str, PartySpec]:
    return {
        "alice": PartySpec(parties.alice, {"key": str(key_file), "reveal": reveal}),
        "bob": PartySpec(
            parties.bob, {"model": str(model_file), "reveal": reveal}, modules=registry.paradigm("keyed").preload
        ),
    }


def prepare(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd:
    """The folders of Bob and Alice."""
    recipe, dimension = {"wave-patch": (WAVE_PATCH, 1), "spectrogram-patch": (SPECTROGRAM_PATCH, 2)}[model]
    emotion = emotion_model(recipe, bench)
    key = keyed.generate_key(mode, int(str(recipe.arguments["block_size"])), dimension)
    keyed.save_key(alice / KEY_FILE, key)
    keyed.save_encrypted_model(bob / MODEL_FILE, emotion.module, key, emotion.record, example=emotion.example)
    return FrontEnd.of(emotion.record)
