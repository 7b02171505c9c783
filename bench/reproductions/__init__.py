"""Tables and figures of the papers, and this project's own headline figures: one module each.

A module here offers ``DESCRIPTION`` (one line) and ``run(request)``, which returns the rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from bench.reproductions import (
    bittner_latency,
    dias_cryptonet_latency,
    dias_figure1,
    dias_sjl,
    dias_table1,
    dias_table2,
    dias_table3,
    dias_table4,
    emotion_accuracy,
    kiya_decryption,
    kiya_figures,
    kiya_key_space,
    kiya_pghi,
    kiya_speed,
    mpc_agreement,
    mpc_cheating,
    mpc_growth,
    smh_attacks,
    smh_speed,
)
from bench.reproductions.request import Request
from bench.row import Row


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
    "kiya-speed": kiya_speed,
    "kiya-decryption": kiya_decryption,
    "kiya-figures": kiya_figures,
    "kiya-key-space": kiya_key_space,
    "kiya-pghi": kiya_pghi,
    "mpc-agreement": mpc_agreement,
    "mpc-cheating": mpc_cheating,
    "mpc-growth": mpc_growth,
    "smh-attacks": smh_attacks,
    "smh-speed": smh_speed,
}
