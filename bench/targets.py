"""Tables and figures of the papers, and this project's own headline figures: one module each.

A module here offers ``DESCRIPTION`` (one line) and ``run(request)``, which returns the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sotto.bench.operations import faults, fuzzing, soak, sweep_scaling, throughput
from sotto.bench.papers.bittner import bittner_latency, mpc_agreement, mpc_cheating, mpc_growth
from sotto.bench.papers.dias import (
    dias_cryptonet_latency,
    dias_figure1,
    dias_sjl,
    dias_table1,
    dias_table2,
    dias_table3,
    dias_table4,
    smh_attacks,
    smh_speed,
)
from sotto.bench.papers.luong import rdal_table2
from sotto.bench.papers.niwa import (
    keyed_attacks,
    kiya_asc,
    kiya_asr,
    kiya_asv,
    kiya_block_size,
    kiya_decryption,
    kiya_emotion,
    kiya_figures,
    kiya_key_space,
    kiya_pghi,
    kiya_speed,
    kiya_wrong_keys,
)
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.speech_tasks import emotion_accuracy
from sotto.bench.targets import model_zoo


class Target(Protocol):
    """What a module here offers."""

    DESCRIPTION: str

    def run(self, request: Request) -> list[Row]:
        """Measure and return the rows."""


TARGETS: Mapping[str, Target] = {
    "dias-cryptonet-latency": dias_cryptonet_latency,
    "bittner-latency": bittner_latency,
    "dias-figure1": dias_figure1,
    "dias-sjl": dias_sjl,
    "dias-table1": dias_table1,
    "dias-table2": dias_table2,
    "dias-table3": dias_table3,
    "dias-table4": dias_table4,
    "emotion-accuracy": emotion_accuracy,
    "keyed-attacks": keyed_attacks,
    "kiya-asc": kiya_asc,
    "kiya-asr": kiya_asr,
    "kiya-asv": kiya_asv,
    "kiya-block-size": kiya_block_size,
    "kiya-decryption": kiya_decryption,
    "kiya-emotion": kiya_emotion,
    "kiya-figures": kiya_figures,
    "kiya-key-space": kiya_key_space,
    "kiya-pghi": kiya_pghi,
    "kiya-speed": kiya_speed,
    "kiya-wrong-keys": kiya_wrong_keys,
    "model-zoo": model_zoo,
    "mpc-agreement": mpc_agreement,
    "mpc-cheating": mpc_cheating,
    "mpc-growth": mpc_growth,
    "rdal-table2": rdal_table2,
    "smh-attacks": smh_attacks,
    "smh-speed": smh_speed,
    "faults": faults,
    "fuzzing": fuzzing,
    "throughput": throughput,
    "soak": soak,
    "sweep-scaling": sweep_scaling,
}
