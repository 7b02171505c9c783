"""From samples to the answer: the analysis before a network inside `mpc` too, beside the same network on features.

Alice's device then needs no more than samples.  The rows of one network share weights and clips; the parameter
``features`` says where they were computed, by Alice or in the circuit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace

from torch import nn

from sotto import mpc
from sotto.audio import read
from sotto.audio.features import MFCC, MFCCSamples
from sotto.bench.baseline import baseline
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model, named
from sotto.bench.experiment import Configuration, Experiment, run_side_by_side
from sotto.bench.parties.party import PartySpec
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.suite import build
from sotto.bench.workbench import Workbench
from sotto.models.learning.training import predict
from sotto.models.networks.front_end import CepstralFrontEnd
from sotto.mpc import parties

DESCRIPTION = "frames on samples, its MFCC computed inside mpc, beside frames on features (quick: 8 clips, full: 64)"

MODEL = "frames"
MODES: tuple[mpc.Mode, ...] = ("semi-honest", "malicious")
ERROR = 2e-2  # of a logarithm: 0.09 dB
_CLIPS = {"quick": 8, "full": 64}
_TIMED = {"quick": 4, "full": 8}
_TIMEOUT = 600.0  # of a step; the session beside waits too


def run(request: Request) -> list[Row]:
    """For each mode a row with features of Alice's and one with features in the circuit, timed in turns."""
    bench = request.open_workbench()
    emotion = emotion_model(named(MODEL, bench), bench)
    clips = _CLIPS[bench.preset]
    rows: list[Row] = []
    for mode in MODES:
        features = build(Configuration("mpc", mode, MODEL, {"features": "alice"}), bench)
        plan = replace(features.plan, singles=_TIMED[bench.preset], clips=clips, table=clips, batch=1, scored=2)
        plan = replace(plan, timeout=_TIMEOUT)
        pair = [replace(features, attacks={}, plan=plan), replace(in_circuit(emotion, mode, bench), plan=plan)]
        timed = pair if rows else [baseline(pair[0]), *pair]
        rows += run_side_by_side(
            timed, corpus=bench.corpus.name, split=bench.split.name, seed=bench.seed, net="loopback", say=bench.say
        )
    return rows


def in_circuit(emotion: EmotionModel, mode: mpc.Mode, bench: Workbench) -> Experiment:
    """The network behind its own front end, asked about samples."""
    experiment = build(Configuration("mpc", mode, MODEL, {"features": "circuit"}), bench)
    spec, statistics = emotion.spec, emotion.record.normalisation
    if not isinstance(spec, MFCC) or statistics is None:
        raise ValueError(f"{MODEL} is a network on normalised MFCC")
    samples = MFCCSamples(**asdict(spec))
    module = nn.Sequential(CepstralFrontEnd(spec, statistics), emotion.module).eval()
    lowered = mpc.LoweredModel.of(module, (samples.length,), input_limit=1.0, activation_error=ERROR)
    return replace(
        experiment,
        parts=_parts(lowered, mode, "class", experiment.parts),
        score_parts=_parts(lowered, mode, "logits", experiment.score_parts or {}),
        queries=bench.part(bench.features(samples), "test"),
        query=lambda clip: samples.compute(read(clip, samples.sample_rate))[None],
        plain=lambda x: ((scores := predict(module, x)).argmax(1), scores),
        attacks={},
        adversary=None,
        network=module,
    )


def _parts(
    lowered: mpc.LoweredModel, mode: mpc.Mode, reveal: mpc.Reveal, parts: Mapping[str, PartySpec]
) -> Mapping[str, PartySpec]:
    bob = mpc.Bob(lowered, None, mode=mode, reveal=reveal)
    return {**parts, "bob": PartySpec(parties.bob, {"bob": bob, "mode": mode}, parties.warm_up)}
