"""`hashing`: Secure Modular Hashing of eGeMAPS features, and a Hamming-RBF machine on the hashes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import hashing
from bench.egemaps_svm import EgemapsSVM, egemaps_svm
from bench.experiment import Cell, Experiment, Plan
from bench.party import Part
from bench.row import Security
from bench.workbench import Workbench
from hashing.attacks import known_key_attack, linkability
from link import Link
from models.training import predict

ATTACKS = {
    "hashing-linkability": "Bob names the speaker of a hash from enrolled hashes under the same key",
    "hashing-known-key": "somebody with the stolen key and a hash recovers the features",
}

_SECURITY = Security(
    adversary="semi-honest Bob without the key",
    trusted="everyone who holds the shared key",
    computational_bits=None,
    statistical_bits=None,
    leaks="to Bob the class, the distances among close hashes, and who speaks; with a stolen key the features",
)
_SHARE = 0.30  # of training pairs that leak: the paper's compromise cell has 29.69 %


def missing() -> str | None:
    """Everything is a requirement of the package."""
    return None


def cells(preset: str) -> list[Cell]:
    """The paper's compromise k = 3; Δ is chosen on the training features so that 30 % of their pairs leak."""
    ks = (3,) if preset == "quick" else (2, 3, 5)
    return [Cell("hashing", "smh", "svm", {"k": k, "mpc": 32, "leakage_target": _SHARE}) for k in ks]


def build(cell: Cell, bench: Workbench) -> Experiment:
    """Train the plaintext machine and the one on hashes, and set up Alice, who has the key, and Bob."""
    made = _make(int(str(cell.parameters["k"])), bench)
    key_file = bench.folder / f"hashing-k{made.key.parameters.k}.key"
    classifier_file = bench.folder / f"hashing-k{made.key.parameters.k}.safetensors"
    made.key.save(key_file)
    made.classifier.save(classifier_file)
    test = bench.part(made.plain.features, "test")
    parts = {"alice": Part(_alice, {"key": str(key_file)}), "bob": Part(_bob, {"classifier": str(classifier_file)})}
    hashes = hashing.pack(hashing.modular_hash(test, made.key), made.key.parameters.k)
    return Experiment(
        cell=Cell(
            cell.paradigm, cell.mode, cell.model, {**cell.parameters, "delta": round(made.key.parameters.delta, 4)}
        ),
        parts=parts,
        queries=test,
        truth=bench.part(bench.targets, "test"),
        query=made.plain.query,
        plain=lambda queries: (predict(made.plain.svm, queries).argmax(1).astype(np.int64), None),
        security=_SECURITY,
        plan=Plan(singles=50, batch=64, clips=10**6, sessions=5),
        key_bytes=key_file.stat().st_size,
        attacks={
            "hashing-linkability": lambda: _link_speakers(made, bench),
            "hashing-known-key": lambda: _use_the_key(made, bench),
        },
        extra={"leakage": hashing.leakage(hashes)},
    )


@dataclass(frozen=True, eq=False)
class _Made:
    """The plaintext machine, and what the key holders and the trainer made beside it."""

    plain: EgemapsSVM
    key: hashing.HashKey
    classifier: hashing.HammingSVC


def _make(k: int, bench: Workbench) -> _Made:
    bench.say("training the machines on features and on hashes")
    plain = egemaps_svm(bench, bench.split)
    learnt = list(plain.learnt)
    features = plain.features[learnt]
    delta = hashing.delta_for_leakage(features, _SHARE, k=k)
    key = hashing.HashKey.generate(hashing.HashParameters(inputs=features.shape[1], k=k, delta=delta))
    training = hashing.training_hashes(
        key, features, bench.targets[learnt], classes=bench.classes, speakers=[bench.speakers[i] for i in learnt]
    )
    classifier, _ = hashing.train_hamming_svc(training)
    return _Made(plain, key, classifier)


def _link_speakers(made: _Made, bench: Workbench) -> dict[str, float]:
    """Test speakers: half of their sentences enrolled (of their clips, where sentences are unknown), half probed."""
    test = bench.part(made.plain.features, "test")
    clips = [bench.corpus[i] for i in bench.split.test]
    sentences = [clip.sentence or str(place % 2) for place, clip in enumerate(clips)]
    enrolled_ones = sorted(set(sentences))[: max(1, len(set(sentences)) // 2)]
    enrolled = np.array([sentence in enrolled_ones for sentence in sentences])
    other = hashing.HashKey.generate(made.key.parameters)
    result = linkability(test, [bench.speakers[i] for i in bench.split.test], enrolled, made.key, other)
    return {
        "attack_speaker_named": max(result.same_key.nearest, result.same_key.trained),
        "attack_speaker_named_other_key": max(result.different_keys.nearest, result.different_keys.trained),
        "attack_speaker_named_plaintext": max(result.plaintext.nearest, result.plaintext.trained),
        "attack_speaker_named_chance": result.chance,
    }


def _use_the_key(made: _Made, bench: Workbench) -> dict[str, float]:
    clips = 16 if bench.quick else 64
    result = known_key_attack(
        bench.part(made.plain.features, "test")[:clips], made.key, bench.part(made.plain.features, "train"), attempts=4
    )
    return {"attack_known_key_correlation": result.correlation, "attack_known_key_recovered": result.recovered}


def _alice(job: Mapping[str, Any], links: Mapping[str, Link]) -> hashing.Alice:
    return hashing.Alice(job["key"])


def _bob(job: Mapping[str, Any], links: Mapping[str, Link]) -> hashing.Bob:
    return hashing.Bob(job["classifier"])
