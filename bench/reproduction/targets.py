"""Tables and figures of the papers, and this project's own headline figures, by the name a user asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sotto.bench.emotion import activations, emotion_accuracy, raw_audio, shown_logits
from sotto.bench.listeners.experiments import (
    frozen_embeddings,
    hashed_embeddings,
    keyed_speech,
    sound_sensor,
    voice_privacy,
)
from sotto.bench.operations import faults, model_zoo, mpc_scale, soak, sweep_scaling, throughput
from sotto.bench.papers.bittner import agreement, cheating, growth, latency, transfers, two_party
from sotto.bench.papers.dias import (
    cryptonet_latency,
    figure1,
    joint_learning,
    smh_attacks,
    smh_speed,
    table1,
    table2,
    table3,
    table4,
)
from sotto.bench.papers.luong import table2 as rdal_table2
from sotto.bench.papers.niwa import (
    attackers,
    block_sizes,
    encrypted_sounds,
    encrypted_tasks,
    image_decryption,
    incorrect_keys,
    key_space,
    phase_reconstruction,
    transform_speed,
)
from sotto.bench.request import Request
from sotto.bench.rows.row import Row


class Target(Protocol):
    """What a reproduction offers."""

    @property
    def DESCRIPTION(self) -> str:  # noqa: N802 - a constant, where a module is the target
        """One line."""

    def run(self, request: Request) -> list[Row]:
        """Measure and return the rows."""


TARGETS: Mapping[str, Target] = {
    "activations": activations,
    "dias-cryptonet-latency": cryptonet_latency,
    "bittner-latency": latency,
    "dias-figure1": figure1,
    "dias-sjl": joint_learning,
    "dias-table1": table1,
    "dias-table2": table2,
    "dias-table3": table3,
    "dias-table4": table4,
    "emotion-accuracy": emotion_accuracy,
    "he-logits": shown_logits,
    "keyed-attacks": attackers,
    "kiya-asc": encrypted_tasks.SCENES,
    "kiya-asr": encrypted_tasks.RECOGNITION,
    "kiya-asv": encrypted_tasks.VERIFICATION,
    "kiya-block-size": block_sizes,
    "kiya-decryption": image_decryption,
    "kiya-emotion": encrypted_tasks.EMOTION,
    "kiya-figures": encrypted_sounds,
    "kiya-key-space": key_space,
    "kiya-pghi": phase_reconstruction,
    "kiya-speed": transform_speed,
    "kiya-wrong-keys": incorrect_keys,
    "listeners": keyed_speech,
    "listeners-hashing": hashed_embeddings,
    "listeners-heads": frozen_embeddings,
    "listeners-sensor": sound_sensor,
    "model-zoo": model_zoo,
    "mpc-agreement": agreement,
    "mpc-cheating": cheating,
    "mpc-growth": growth,
    "mpc-scale": mpc_scale,
    "mpc-transfers": transfers,
    "mpc-two-party": two_party,
    "raw-audio": raw_audio,
    "rdal-table2": rdal_table2,
    "smh-attacks": smh_attacks,
    "smh-speed": smh_speed,
    "faults": faults,
    "throughput": throughput,
    "voice-privacy": voice_privacy,
    "soak": soak,
    "sweep-scaling": sweep_scaling,
}
