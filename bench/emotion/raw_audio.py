"""From samples to the answer: the analysis before a network inside `mpc` too, beside the same network on features.

Alice's device then needs no more than samples.  The rows of one network share weights and clips; ``features_at`` says
where features were computed, by Alice or in the circuit.
"""

from __future__ import annotations

from dataclasses import replace

from sotto import mpc
from sotto.bench.baseline import baseline
from sotto.bench.experiment import Configuration, run_side_by_side
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.suite import build

DESCRIPTION = "frames on samples, its MFCC computed inside mpc, beside frames on features (quick: 8 clips, full: 64)"

MODEL = "frames"
MODES: tuple[mpc.Mode, ...] = ("semi-honest", "malicious")
_CLIPS = {"quick": 8, "full": 64}
_TIMED = {"quick": 4, "full": 8}
_TIMEOUT = 600.0  # of a step; the session beside waits too


def run(request: Request) -> list[Row]:
    """For each mode a row with features of Alice's and one with features in the circuit, timed in turns."""
    bench = request.open_workbench()
    clips = _CLIPS[bench.preset]
    rows: list[Row] = []
    for mode in MODES:
        pair = [build(Configuration("mpc", mode, MODEL, {"features_at": at}), bench) for at in ("alice", "circuit")]
        plan = replace(pair[0].plan, singles=_TIMED[bench.preset], clips=clips, table=clips, batch=1, scored=2)
        plan = replace(plan, timeout=_TIMEOUT)
        pair = [replace(each, attacks={}, plan=plan) for each in pair]
        timed = pair if rows else [baseline(pair[0]), *pair]
        rows += run_side_by_side(
            timed, corpus=bench.corpus.name, split=bench.split.name, seed=bench.seed, net="loopback", say=bench.say
        )
    return rows
