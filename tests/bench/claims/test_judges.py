"""Every judge on made-up rows: what the paper reports must hold, its opposite must not, and no rows leave it open."""

from __future__ import annotations

import msgspec
import pytest

from bench.claims import ITEMS, PAPERS, Verdict
from bench.plaintext import plaintext_row
from bench.reproductions import TARGETS
from bench.row import Timing


def row(mode="paper", metrics=None, published=None, parameters=None, **fields):
    made = plaintext_row(
        mode=mode, model="made up", corpus="made up", split="none", seed=0, n_queries=10, parameters=parameters or {},
        accuracy=None, metrics=metrics or {}, published=published or {},
    )  # fmt: skip
    return msgspec.structs.replace(made, **fields)


def judge(place, rows, target=None):
    (item,) = [item for item in ITEMS if item.place == place and target in (None, item.target)]
    return item.judge(rows).verdict


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.target} {item.place}")
def test_an_item_is_complete_and_open_without_rows(item):
    assert item.target in TARGETS
    assert item.paper in PAPERS
    assert item.claim.endswith(".")
    assert item.differs.endswith(".")
    assert item.judge([]).verdict is Verdict.OPEN
    assert item.judge([row()]).verdict is Verdict.OPEN


def test_places_are_named_once_a_paper():
    assert len({(item.paper, item.place) for item in ITEMS}) == len(ITEMS)


def test_latency():
    def at(milliseconds, net="loopback"):
        return row("malicious", parameters={"net": net}, online_ms=Timing(milliseconds, milliseconds))

    assert judge("abstract, malicious", [at(20), at(900)]) is Verdict.HOLDS
    assert judge("abstract, malicious", [at(20), at(30), at(2000)]) is Verdict.PARTLY
    assert judge("abstract, malicious", [at(2000)]) is Verdict.FAILS
    assert judge("abstract, malicious", [at(20), at(9000, "wan")]) is Verdict.HOLDS
    assert judge("abstract, semi-honest", [at(20)]) is Verdict.OPEN


@pytest.mark.parametrize(("share", "verdict"), [(1.0, Verdict.HOLDS), (0.995, Verdict.PARTLY), (0.9, Verdict.FAILS)])
def test_agreement(share, verdict):
    assert judge("abstract, accuracy", [row(agreement=1.0), row(agreement=share)]) is verdict


def test_leakage_grows():
    def cells(sign):
        return [
            row(
                parameters={"task": "t", "k": k, "delta": d},
                metrics={"leakage": 0.5 + sign * (0.02 * k + 0.05 * d)},
                published={"leakage": 0.5},
            )
            for k in (2, 3, 5)
            for d in (2.0, 2.5)
        ]

    assert judge("Table 1", cells(1)) is Verdict.HOLDS
    assert judge("Table 1", cells(-1)) is Verdict.FAILS


@pytest.mark.parametrize(
    ("lost", "leakage", "verdict"),
    [(2.2, 0.28, Verdict.HOLDS), (9.0, 0.28, Verdict.FAILS), (2.2, 0.5, Verdict.FAILS)],
)
def test_the_compromise_of_hashing(lost, leakage, verdict):
    parameters = {"task": "t", "k": 3, "delta": 2.0, "features": "range"}
    found = row(parameters=parameters, metrics={"points_lost": lost, "leakage": leakage})
    assert judge("Table 2", [found]) is verdict


def test_polynomials():
    good = row(parameters={"degree": 2}, metrics={"x^0": 0.199, "x^2": 0.2}, published={"x^0": 0.1992, "x^2": 0.1997})
    bad = row(parameters={"degree": 4}, metrics={"x^4": -0.0166}, published={"x^4": -0.0388})
    assert judge("Table 3", [good]) is Verdict.HOLDS
    assert judge("Table 3", [good, bad]) is Verdict.PARTLY
    assert judge("Table 3", [bad]) is Verdict.FAILS


def encrypted(metric, plain, correct, wrong):
    columns = {"plain_model": plain, "correct_key": correct, "incorrect_key": wrong}
    return row("rom", {f"{metric}_{name}": value for name, value in columns.items()})


@pytest.mark.parametrize(
    ("place", "metric", "plain", "chance"), [("Table I", "eer", 8.0, 45.0), ("Table II", "wer", 4.0, 97.0),
                                             ("Table III", "accuracy", 85.0, 10.0)],
)  # fmt: skip
def test_encrypted_models(place, metric, plain, chance):
    assert judge(place, [encrypted(metric, plain, plain, chance)]) is Verdict.HOLDS
    assert judge(place, [encrypted(metric, plain, plain, plain)]) is Verdict.FAILS
    assert judge(place, [encrypted(metric, plain, plain + 1, plain)]) is Verdict.FAILS
    assert judge(place, [encrypted(metric, plain, plain, c) for c in (chance, plain)]) is Verdict.PARTLY


def test_no_key_must_be_as_useless_as_an_incorrect_one():
    found = encrypted("eer", 8.0, 8.0, 45.0)
    for without, verdict in ((44.0, Verdict.HOLDS), (9.0, Verdict.PARTLY)):
        asked = msgspec.structs.replace(found, metrics={**found.metrics, "eer_plain_query": without})
        assert judge("Table I", [asked]) is verdict


def test_block_sizes():
    def rates(*values):
        return [
            row("rom", {"wer": value, "wer_plain": 5.0}, parameters={"block_size": size})
            for size, value in zip((5, 10, 20), values, strict=True)
        ]

    assert judge("Table IV", rates(20.0, 60.0, 90.0)) is Verdict.HOLDS
    assert judge("Table IV", rates(90.0, 60.0, 20.0)) is Verdict.FAILS


def test_incorrect_keys_over_block_sizes():
    def rates(metric, means, variances):
        sizes = zip((3, 5, 10), means, variances, strict=True)
        return [
            row("rom", {metric: mean, f"{metric}_variance": wide}, parameters={"block_size": size})
            for size, mean, wide in sizes
        ]

    place = "Figures 9 to 11"
    assert judge(place, rates("eer", (20.0, 25.0, 30.0), (9.0, 5.0, 1.0))) is Verdict.HOLDS
    assert judge(place, rates("eer", (30.0, 25.0, 20.0), (1.0, 5.0, 9.0))) is Verdict.FAILS
    both = [*rates("eer", (20.0, 25.0, 30.0), (9.0, 5.0, 1.0)), *rates("wer", (50.0, 60.0, 55.0), (9.0, 5.0, 6.0))]
    assert judge(place, both) is Verdict.PARTLY
    # A single key has no variance, and says nothing of how uniform the rates are.
    assert judge(place, rates("eer", (20.0, 25.0, 30.0), (None, None, None))) is Verdict.HOLDS


def test_attacks_that_succeed_refute_the_claim():
    def at(correlation, metric):
        return row("rom", {metric: correlation}, parameters={"block_size": 3})

    for place, metric in (("Figure 8", "correlation_of_spectrograms"), ("first paper, Figures 8 and 9", "correlation")):
        assert judge(place, [at(0.1, metric), at(-0.2, metric)]) is Verdict.HOLDS
        assert judge(place, [at(0.1, metric), at(0.2, metric), at(0.9, metric)]) is Verdict.PARTLY
        assert judge(place, [at(0.1, metric), at(0.9, metric)]) is Verdict.FAILS
        assert judge(place, [at(-0.9, metric)]) is Verdict.FAILS


def trained(mode, auc, event=0.84, sdr=None):
    return row(mode, {"attack_auc": auc, "event_accuracy": event, "sdr_db": sdr})


def test_learned_representations():
    baseline, rdal, masked = trained("supervised", 0.88), trained("rdal", 0.6), trained("masked-binary", 0.83, sdr=11.1)
    good, bad = trained("rdal-m-fixed-mask", 0.5, sdr=11.7), trained("rdal-m-fixed-mask", 0.86, 0.7, sdr=1.0)
    learnt = trained("rdal-m-learnable-mask", 0.58, sdr=3.45)
    assert judge("Table 2, privacy", [baseline, good]) is Verdict.HOLDS
    assert judge("Table 2, privacy", [baseline, bad]) is Verdict.FAILS
    assert judge("Table 2, privacy", [baseline, trained("rdal-m-fixed-mask", 0.86)]) is Verdict.FAILS
    assert judge("Table 2, privacy", [baseline, trained("rdal-m-fixed-mask", 0.5, 0.7)]) is Verdict.PARTLY
    assert judge("Table 2, privacy", [trained("supervised", 0.7), good]) is Verdict.OPEN
    assert judge("Table 2, ablation", [baseline, rdal, masked, good]) is Verdict.HOLDS
    assert judge("Table 2, ablation", [rdal, masked, bad]) is Verdict.FAILS
    assert judge("Table 2, masking", [masked]) is Verdict.HOLDS
    assert judge("Table 2, masking", [trained("masked-binary", 0.5)]) is Verdict.FAILS
    assert judge("§3.4, SDR", [good, learnt]) is Verdict.HOLDS
    assert judge("§3.4, SDR", [bad, learnt]) is Verdict.FAILS


def test_ways_of_training_are_not_mixed():
    rows = [trained("supervised+", 0.9), trained("rdal-m-fixed-mask+", 0.55), trained("rdal-m-fixed-mask", 0.9, 0.1)]
    assert judge("Table 2, privacy", rows) is Verdict.HOLDS


def test_pictures_of_encrypted_speech():
    def shown(correlation, energies):
        metrics = {"correlation": correlation, "correlation_of_block_energies": energies}
        return row("spectrogram rom", metrics, parameters={"block_size": 8})

    assert judge("Figures 3 to 6", [shown(0.1, 0.2)]) is Verdict.HOLDS
    assert judge("Figures 3 to 6", [shown(0.1, 1.0)]) is Verdict.PARTLY
    assert judge("Figures 3 to 6", [shown(0.9, 1.0)]) is Verdict.FAILS
