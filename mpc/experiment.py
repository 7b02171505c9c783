"""`mpc`: the emotion CNNs under secret sharing, with a dealer in its own process in all modes but one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import msgspec
import numpy as np
import numpy.typing as npt

from sotto import mpc
from sotto.bench.emotion.emotion_models import emotion_model, from_samples, named
from sotto.bench.experiment import Configuration, Experiment, Plan
from sotto.bench.own_model import NotRunnable
from sotto.bench.parties.party import PartySpec
from sotto.bench.rows.row import Security
from sotto.bench.workbench import Workbench
from sotto.mpc import modes as mpc_modes
from sotto.mpc import parties
from sotto.mpc.crypten.torch_shim import require_installed
from sotto.mpc.fss.dcf import COMPUTATIONAL_BITS
from sotto.mpc.graph.fixed_point import input_limit_of
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR
from sotto.serving import registry
from sotto.serving.adapters import LoweringOptions
from sotto.serving.folders import MODEL_FILE
from sotto.serving.reveal import Reveal
from sotto.serving.terms import FrontEnd

if TYPE_CHECKING:
    from sotto.mpc.attacks import Adversary

log = logging.getLogger("sotto")

ATTACKS = {
    "mpc-tamper": "a cheating Bob changes one message a query; how often Alice accepts a wrong class",
    "mpc-seed-search": "a curious Bob searches the seed of torch's generator and reads Alice's features",
}

#: They wait for one another, so they cannot stand still in the middle (:mod:`sotto.bench.attackers`).
PARTIES_ATTACK = True

_DEALER = "a dealer who sees no data and sides with nobody"
_OURS = "to Alice the class; to all three the shapes of the layers and, as powers of two, how large values can become"

#: Comparison keys are the weakest part, all else comes from AES with longer keys; without a dealer the hash of
#: transfers is the weakest part (:mod:`sotto.mpc.ot.hashing`).
SECURITY: Mapping[mpc.Mode, Security] = {
    "crypten": Security(
        adversary="semi-honest Alice or Bob",
        trusted=_DEALER,
        computational_bits=32,
        statistical_bits=None,
        leaks="to Alice the class and the shapes of the layers; masks of 32-bit strength; cheating goes unnoticed",
        broken="the masks are found in minutes",
    ),
    "semi-honest": Security(
        adversary="semi-honest Alice or Bob",
        trusted=_DEALER,
        computational_bits=COMPUTATIONAL_BITS,
        statistical_bits=None,
        leaks=f"{_OURS}; cheating goes unnoticed",
        hides="yes",
    ),
    "two-party": Security(
        adversary="semi-honest Alice or Bob",
        trusted="nobody",
        computational_bits=114,
        statistical_bits=40,
        leaks=f"{_OURS.replace('all three', 'both')}; cheating goes unnoticed",
        hides="yes",
    ),
    "malicious": Security(
        adversary="malicious Alice or Bob, who is caught before Alice takes an answer",
        trusted=_DEALER,
        computational_bits=COMPUTATIONAL_BITS,
        statistical_bits=57,
        leaks=f"{_OURS}; that somebody was caught",
        hides="yes",
    ),
}

#: The search needs CrypTen's generator; one network is enough.
_SEED_SEARCH = {"quick": "frames", "full": "depinto"}


def missing() -> str | None:
    """Nothing: our own modes need no library besides Sotto's."""
    return None


#: Networks by mode: a quick run has those that tell the modes apart, and in the default mode those of other paradigms.
_QUICK: Mapping[str, tuple[str, ...]] = {
    "malicious": ("frames", "mlp-poly2", "depinto-poly2"),
    "semi-honest": ("frames", "mlp-poly2"),
    "two-party": ("frames", "mlp-poly2"),
    "crypten": ("frames",),
}
_FULL = ("frames", "depinto", "mlp", "mlp-poly2", "mlp-poly4", "mlp-poly6", "depinto-poly2", "frames-poly2")
_ATTACKED = ("frames", "depinto")


def cells(preset: str) -> list[Configuration]:
    """Every mode, the strongest first, on its networks; stock CrypTen where it is installed."""
    return [
        Configuration("mpc", mode, model, {})
        for mode in reversed(get_args(mpc.Mode))
        if mode != "crypten" or _crypten_installed()
        for model in (_QUICK[mode] if preset == "quick" else _FULL)
    ]


def sample_cells(preset: str) -> list[Configuration]:
    """The analysis before `frames` in the circuit, and the network of filters and squares; not by stock CrypTen."""
    return [
        Configuration("mpc", mode, model, parameters)
        for mode in reversed(get_args(mpc.Mode))
        if mode != "crypten"
        for model, parameters in (("frames", {"features_at": "circuit"}), ("filterbank-poly2", {}))
    ]


def _crypten_installed() -> bool:
    try:
        require_installed()
    except mpc.CryptenMissing as error:
        log.info("mpc/crypten is left out: %s", error)
        return False
    return True


def build(cell: Configuration, bench: Workbench) -> Experiment:
    """Train the network and set up Alice, Bob and, where there is one, the dealer."""
    emotion = emotion_model(named(cell.model, bench), bench)
    at_circuit = cell.parameters.get("features_at") == "circuit"
    emotion = from_samples(emotion, bench) if at_circuit else emotion
    options = LoweringOptions(
        cast("float | None", cell.parameters.get("activation_error")), features_at="circuit" if at_circuit else "alice"
    )
    mode = mpc_modes.require_mode(cell.mode)
    reveal = cast(Reveal, cell.parameters.get("reveal", "class"))
    public = cell.parameters.get("weights") == "public"
    try:  # traced and checked once, here: Bob's processes are given what came out
        network = mpc.LoweredModel.of(
            emotion.module, emotion.queries.shape[1:], input_limit=input_limit_of(emotion.record),
            activation_error=options.tolerance(DEFAULT_ACTIVATION_ERROR),
        )  # fmt: skip
        network = network.with_public_weights() if public else network
        parts = parts_of(network, mode, reveal)
    except (mpc.ModelRefused, ValueError) as error:
        raise NotRunnable("model-refused", str(error)) from None
    test = bench.part(emotion.queries, "test")
    attacks = {}
    if cell.model in _ATTACKED and not at_circuit:
        attacks["mpc-tamper"] = lambda: _tamper(network, test[:1], mode, bench.quick)
    if not at_circuit and mode == "crypten" and cell.model == _SEED_SEARCH[bench.preset]:
        attacks["mpc-seed-search"] = lambda: _search_seed(network, test[:1], bench)
    return Experiment(
        cell=cell,
        parts=parts,
        score_parts={**parts_of(network, mode, "logits"), **{role: parts[role] for role in parts if role == "dealer"}},
        queries=test,
        truth=bench.part(bench.targets, "test"),
        query=emotion.query,
        plain=emotion.plain,
        security=security_of(mode, reveal, public=public),
        attacks=attacks,
        adversary=lambda query: _adversary(network, query, mode),
        plan=_plan(bench, at_circuit),
        network=emotion.module,
        features_at="circuit" if emotion.spec.kind in ("mfcc-samples", "sample-blocks") else "alice",
    )


def _plan(bench: Workbench, at_circuit: bool) -> Plan:
    """A query of samples is a hundred megabytes of randomness: one at a time, and fewer of them timed."""
    if at_circuit:
        return Plan(singles=4 if bench.quick else 16, clips=bench.clips, table=bench.clips, batch=1, scored=2)
    singles, scored = (12, 4) if bench.quick else (50, 16)
    return Plan(singles=singles, clips=bench.clips, table=bench.clips, batch=16, scored=scored)


def security_of(mode: mpc.Mode, reveal: Reveal, *, public: bool) -> Security:
    """What a mode protects where Alice learns ``reveal`` of an answer, and Bob's weights where they are ``public``."""
    security = SECURITY[mode]
    leaks = security.leaks if reveal == "class" else security.leaks.replace("the class", "every score", 1)
    return msgspec.structs.replace(security, leaks=f"to Alice Bob's weights; {leaks}" if public else leaks)


def parts_of(
    network: mpc.LoweredModel, mode: mpc.Mode, reveal: Reveal, *, idle_timeout: float = 600.0
) -> Mapping[str, PartySpec]:
    """The parties of a network that has been traced; ``idle_timeout`` is Bob's and the dealer's."""
    bob = mpc.Bob(network, None, mode=mode, reveal=reveal, idle_timeout=idle_timeout)
    modules = ("sotto.mpc.crypten.session",) if mode == "crypten" else registry.paradigm("mpc").preload
    dealer = {"mode": mode, "idle_timeout": idle_timeout}
    parts = {
        "alice": PartySpec(parties.alice, {"mode": mode, "reveal": reveal}, modules=modules),
        "bob": PartySpec(parties.bob, {"bob": bob, "mode": mode}, parties.warm_up, modules),
        "dealer": PartySpec(parties.dealer, dealer, parties.warm_up_dealer, modules),
    }
    return {role: part for role, part in parts.items() if role != "dealer" or mpc_modes.needs_dealer(mode)}


def _adversary(
    network: mpc.LoweredModel, query: npt.NDArray[np.float32], mode: mpc.Mode
) -> AbstractContextManager[Adversary]:
    from sotto.mpc.attacks import cheating_parties  # and all protocols: only who attacks waits for them

    return cheating_parties(network, query.shape[1:], query, mode=mode)


def _tamper(network: mpc.LoweredModel, query: npt.NDArray[np.float32], mode: mpc.Mode, quick: bool) -> dict[str, float]:
    """Bob's lies about one test clip, each in a session of its own."""
    from sotto.mpc.attacks import tamper

    sweep = tamper(network, query.shape[1:], query, mode=mode, trials=6 if quick else 128)
    tried = len(sweep.outcomes)
    return {
        "attack_wrong_class_accepted": sweep.count("accepted") / tried,
        "attack_refused": (sweep.count("caught") + sweep.count("refused")) / tried,
    }


def _search_seed(network: mpc.LoweredModel, query: npt.NDArray[np.float32], bench: Workbench) -> dict[str, float]:
    """Bob's search of one query; quick: only in the 256th part of the seeds that holds the right one.

    The experimenter knows which part that is, and tells from the speed of the search how long all seeds take.
    """
    from sotto.mpc.attacks import recover_features, run_parties
    from sotto.mpc.attacks.seed_search import SEED_BITS

    run = run_parties(network, query.shape[1:], [query])
    seeds = range(1 << SEED_BITS)
    if bench.quick:
        dealt = run.transcripts["alice"]["dealer"]
        right = next(seed for way, name, seed in dealt if (way, name) == ("received", "dealer.seed"))
        part = len(seeds) >> 8
        start = (int.from_bytes(right, "little") % len(seeds)) // part * part
        seeds = seeds[start : start + part]
    with bench.quiet():
        recovered = recover_features(run, query.shape, seeds=seeds)
    if recovered is None:
        return {"attack_features_read": 0.0}
    rate = recovered.seeds_tried / recovered.seconds
    return {
        "attack_features_read": float(np.abs(recovered.values - query).max() < 2.0**-15),
        "attack_minutes_for_all_seeds": (1 << SEED_BITS) / rate / 60,
    }


def prepare(model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd | None:
    """The folders of Bob and Alice."""
    emotion_model(named(model, bench), bench).save(bob / MODEL_FILE)
    return None
