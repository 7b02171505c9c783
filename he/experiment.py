"""`he`: polynomial networks under CKKS: the MLP on eGeMAPS features, the convolutional networks on MFCC."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, cast

import numpy as np

from sotto import he
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model, named
from sotto.bench.experiment import Configuration, Experiment, Plan
from sotto.bench.own_model import NotRunnable
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.bench.workbench import Workbench
from sotto.he import parties
from sotto.he.attacks import extract_model, recover_key
from sotto.he.attacks.raw_decryption import RING_DEGREE
from sotto.he.messages import Mode
from sotto.serving import registry
from sotto.serving.folders import MODEL_FILE, write_calibration
from sotto.serving.terms import FrontEnd

ATTACKS = {
    "he-extraction": "a curious Alice trains a copy of Bob's model on the logits it was given",
    "he-raw-decryption": "Alice publishes a raw decryption instead of a class, and Bob computes Alice's secret key",
}


def security(flooding_bits: int = 0) -> Security:
    """What a session protects, with answers flooded to so many statistical bits or not."""
    return Security(
        adversary="semi-honest Bob",
        trusted="nobody else; Bob evaluates the model it described",
        computational_bits=128,
        statistical_bits=flooding_bits or None,
        leaks="to Alice the class, and what its decryptions say of the model"
        + ("" if flooding_bits else "; the noise of an answer is not flooded"),
        hides="yes",
    )


def missing() -> str | None:
    """TenSEAL is a requirement of the package: nothing is ever missing."""
    return None


_SETTINGS: Mapping[str, Mapping[Mode, tuple[str, ...]]] = {
    "quick": {"packed": ("mlp-poly2", "depinto-poly2")},
    "full": {
        "packed": ("mlp-poly2", "mlp-poly4", "mlp-poly6", "depinto-poly2", "frames-poly2"),
        "batched": ("mlp-poly2",),
        "tenseal": ("mlp-poly2", "mlp-poly4"),
    },
}


def cells(preset: str) -> list[Configuration]:
    """The hand-packed evaluator first; full: thousands of queries in one batch, and plain `ckks_vector` to compare."""
    return [Configuration("he", mode, model, {}) for mode, models in _SETTINGS[preset].items() for model in models]


def sample_cells(preset: str) -> list[Configuration]:
    """The network of filters and squares, which takes samples."""
    return [Configuration("he", "packed", "filterbank-poly2", {})]


def build(cell: Configuration, bench: Workbench) -> Experiment:
    """Train the network and set up Alice, who makes the keys, and Bob."""
    emotion = emotion_model(named(cell.model, bench), bench)
    try:
        bob = he.Bob(
            emotion.module, calibration=bench.part(emotion.queries, "train"), mode=cast(Mode, cell.mode), threads=1
        )
    except he.ModelRefused as error:
        raise NotRunnable("model-refused", str(error)) from None
    parts = {
        "alice": PartySpec(parties.alice, {"reveal": "class"}),
        "bob": PartySpec(parties.bob, {"bob": bob}, modules=registry.paradigm("he").preload),
    }
    return Experiment(
        cell=cell,
        parts=parts,
        score_parts={**parts, "alice": PartySpec(parties.alice, {"reveal": "logits"})},
        queries=bench.part(emotion.queries, "test"),
        truth=bench.part(bench.targets, "test"),
        query=emotion.query,
        plain=emotion.plain,
        security=security(),
        plan=_plan(cell, bench),
        keys_are_sent=True,
        extra={
            "bound_is_proved": float(bob.plan.proved),  # or only no input like the training clips can overflow
            "largest_error_planned": bob.plan.shown_error,
        },
        attacks={
            # the same model in several modes: what is learnt from answers does not depend on how they were computed
            "he-extraction": lambda: bench.once(f"extraction {cell.model}", lambda: _extract(emotion, bench)),
            "he-raw-decryption": lambda: bench.once(f"key {cell.model}", lambda: _read_the_key(emotion, bench)),
        }
        if cell.model.startswith("mlp")
        else {},
        network=emotion.module,
        features_at="circuit" if emotion.spec.kind == "sample-blocks" else "alice",
    )


def _plan(cell: Configuration, bench: Workbench) -> Plan:
    """A batch costs the same however few it holds, so it answers all clips at once after one query of one."""
    clips = bench.clips
    if cell.model.startswith("filterbank"):
        return Plan(singles=4 if bench.quick else 30, clips=clips, table=clips, scored=4)
    if cell.model.startswith("frames"):
        return Plan(singles=4 if bench.quick else 30, clips=4 if bench.quick else clips, table=clips, scored=2)
    if cell.mode == "batched":
        return Plan(singles=1, batch=max(2, clips - 1), clips=clips, table=clips, scored=clips)
    if cell.mode == "packed":
        singles, scored = (20, 4) if bench.quick else (200, 16)
        return Plan(singles=singles, clips=clips, table=clips, scored=scored)
    singles = 3 if bench.quick else 20
    # Nothing there gets faster by being warm, and a query takes seconds.
    return Plan(singles=singles, clips=singles, table=clips, scored=1 if bench.quick else 8, warm_up=0)


def _extract(emotion: EmotionModel, bench: Workbench) -> dict[str, float]:
    """Alice asks about the training clips, then about made-up ones; the copy is judged on the test clips."""
    own, unseen = (np.clip(bench.part(emotion.queries, part), -1, 1) for part in ("train", "test"))
    network = he.PolynomialNetwork.of(emotion.module)
    metrics = {}
    kinds: tuple[Literal["class", "logits"], ...] = ("class", "logits")
    for answers in kinds:
        queries, steps = ((10_000,), 500) if bench.quick else ((512, 10_000), 3000)
        copies = extract_model(network, own, unseen, queries=queries, answers=answers, steps=steps)
        for found in copies:
            metrics[f"attack_copy_agrees_from_{found.queries}_{answers}"] = found.fidelity
    return {**metrics, "attack_copy_agrees_chance": found.chance}


def _read_the_key(emotion: EmotionModel, bench: Workbench) -> dict[str, float]:
    """On small parameters and a linear model of eight features: what Bob gets for raw decryptions and for classes."""
    rows = np.resize(np.clip(emotion.queries[:, :8], -1, 1), (RING_DEGREE // 2, 8))
    weights = he.PolynomialNetwork.of(emotion.module).layers[0].weight[:2, :8].T
    raw, shown = (recover_key(rows, weights, published) for published in ("raw", "class"))
    return {
        "attack_key_from_raw_decryption": float(raw.key_recovered),
        "attack_key_from_class": float(shown.key_recovered),
    }


def prepare(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd | None:
    """The folders of Bob and Alice."""
    emotion = emotion_model(named(model, bench), bench)
    emotion.save(bob / MODEL_FILE)
    write_calibration(bob, bench.part(emotion.queries, "train"))
    return None
