"""Tables and figures of the papers, and this project's own headline figures, by the name a user asks for."""

from __future__ import annotations

import pkgutil
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Protocol, cast

from sotto.bench.request import Request
from sotto.bench.rows import results
from sotto.bench.rows.row import Row

_UNWRITTEN = 10.0  # seconds


class Target(Protocol):
    """What a reproduction offers."""

    @property
    def DESCRIPTION(self) -> str:  # noqa: N802 - a constant, where a module is the target
        """One line."""

    def run(self, request: Request) -> Iterable[Row]:
        """Measure, row by row."""


#: In ``sotto.bench``: a module, or an object of one.
_PLACES = {
    "activations": "emotion.activations",
    "dias-cryptonet-latency": "papers.dias.cryptonet.latency",
    "bittner-latency": "papers.bittner.latency",
    "dias-figure1": "papers.dias.smh.figure1",
    "dias-sjl": "papers.dias.smh.joint_learning",
    "dias-table1": "papers.dias.smh.table1",
    "dias-table2": "papers.dias.smh.table2",
    "dias-table3": "papers.dias.cryptonet.table3",
    "dias-table4": "papers.dias.cryptonet.table4",
    "emotion-accuracy": "emotion.emotion_accuracy",
    "he-logits": "emotion.shown_logits",
    "keyed-attacks": "papers.niwa.attackers",
    "kiya-asc": "papers.niwa.encrypted_tasks:SCENES",
    "kiya-asr": "papers.niwa.encrypted_tasks:RECOGNITION",
    "kiya-asv": "papers.niwa.encrypted_tasks:VERIFICATION",
    "kiya-block-size": "papers.niwa.block_sizes",
    "kiya-decryption": "papers.niwa.image_decryption",
    "kiya-emotion": "papers.niwa.encrypted_tasks:EMOTION",
    "kiya-figures": "papers.niwa.encrypted_sounds",
    "kiya-key-space": "papers.niwa.key_space",
    "kiya-pghi": "papers.niwa.phase_reconstruction",
    "kiya-speed": "papers.niwa.transform_speed",
    "kiya-wrong-keys": "papers.niwa.incorrect_keys",
    "listeners": "listeners.experiments.keyed_speech",
    "listeners-hashing": "listeners.experiments.hashed_embeddings",
    "listeners-heads": "listeners.experiments.frozen_embeddings",
    "listeners-sensor": "listeners.experiments.sound_sensor",
    "model-zoo": "operations.model_zoo",
    "mpc-agreement": "papers.bittner.agreement",
    "mpc-cheating": "papers.bittner.cheating",
    "mpc-growth": "papers.bittner.growth",
    "mpc-scale": "operations.mpc_scale",
    "mpc-transfers": "papers.bittner.transfers",
    "mpc-two-party": "papers.bittner.two_party",
    "raw-audio": "emotion.raw_audio",
    "rdal-table2": "papers.luong.table2",
    "smh-attacks": "papers.dias.smh.attacks",
    "smh-speed": "papers.dias.smh.speed",
    "faults": "operations.faults",
    "throughput": "operations.throughput",
    "voice-privacy": "listeners.experiments.voice_privacy",
    "soak": "operations.soak",
    "sweep-scaling": "operations.sweep_scaling",
}


class _Targets(Mapping[str, Target]):
    def __getitem__(self, name: str) -> Target:
        return cast(Target, pkgutil.resolve_name(f"sotto.bench.{_PLACES[name]}"))

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


def measured(target: Target, request: Request) -> list[Row]:
    """All rows of a reproduction, written to its folder now and then: who stops half-way keeps what was measured."""
    rows, written = [], time.monotonic()
    for row in target.run(request):
        rows.append(row)
        if time.monotonic() - written > _UNWRITTEN:
            results.write(rows, request.out)
            written = time.monotonic()
    results.write(rows, request.out)
    return rows


#: Imported when they are first used: a reproduction does not wait for the libraries of the others.
TARGETS: Mapping[str, Target] = _Targets()
