"""Every judge on made-up rows: what the paper reports must hold, its opposite must not, and no rows leave it open."""

from __future__ import annotations

import msgspec
import pytest

from sotto.bench.claims.claim import known
from sotto.bench.reproduction.paper_claims import ITEMS, PAPERS, Verdict
from sotto.bench.reproduction.targets import TARGETS
from sotto.bench.rows.row import Row, Timing


def row(mode="paper", metrics=None, published=None, parameters=None, **fields):
    return Row(
        paradigm="plaintext", mode=mode, model="made up", corpus="made up", seed=0, n_queries=10,
        parameters=parameters or {}, metrics=metrics or {}, published=published or {}, **fields,
    )  # fmt: skip


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


def test_only_rows_that_know_every_figure_are_judged():
    rows = [row(metrics={"a": 1.0, "b": 0.0}), row(metrics={"a": 1.0}), row(metrics={"a": 2.0, "b": None})]
    assert known(rows, "a", "b") == [(rows[0], [1.0, 0.0])]
    assert [figures for _, figures in known(rows, "a")] == [[1.0], [1.0], [2.0]]


def timed(online, offline=0.0, net="loopback"):
    before = None if offline is None else Timing(offline, offline)
    return row("malicious", parameters={"net": net}, online_ms=Timing(online, online), offline_ms=before)


def test_latency():
    def verdict(*rows):
        return judge("abstract, malicious", rows)

    assert verdict(timed(20, 100), timed(900, 600)) is Verdict.HOLDS
    assert verdict(timed(20, 100), timed(900, 800)) is Verdict.PARTLY  # offline and online together take longer
    assert verdict(timed(20, 100), timed(900, None)) is Verdict.PARTLY
    assert verdict(timed(20), timed(30), timed(2000)) is Verdict.PARTLY
    assert verdict(timed(20), timed(1000, 1000, net="wan")) is Verdict.PARTLY
    assert verdict(timed(2000)) is Verdict.FAILS
    assert judge("abstract, semi-honest", [timed(20)]) is Verdict.OPEN


def test_latency_is_told_offline_and_online_for_each_network_and_link():
    (item,) = [item for item in ITEMS if item.place == "abstract, malicious"]
    flat = msgspec.structs.replace(timed(20, 100), parameters={"net": "loopback", "head": "flat"})
    because = item.judge([flat, timed(300, None, net="wan")]).because
    assert "loopback: made up (flat) 100 + 20 ms; wan: made up unknown + 300 ms" in because


def test_a_claim_on_one_mode_shows_its_rows_only():
    rows = [row("semi-honest"), row("malicious"), row("crypten")]
    (one,) = [item for item in ITEMS if item.place == "abstract, malicious"]
    (all_of_them,) = [item for item in ITEMS if item.place == "abstract, accuracy"]
    assert one.own(rows) == rows[1:2]
    assert all_of_them.own(rows) == rows


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


def encrypted(metric, plain, correct, wrong, mode="rom", **more):
    columns = {"plain_model": plain, "correct_key": correct, "incorrect_key": wrong, **more}
    return row(mode, {f"{metric}_{name}": value for name, value in columns.items()})


@pytest.mark.parametrize(
    ("place", "metric", "plain", "useless", "useful"),
    [("Table I", "eer", 8.0, 30.0, 28.0), ("Table II", "wer", 4.0, 53.0, 51.0),
     ("Table III", "accuracy", 80.0, 44.0, 46.0)],
)  # fmt: skip
def test_an_unkeyed_answer_is_useless_from_halfway_to_chance(place, metric, plain, useless, useful):
    assert judge(place, [encrypted(metric, plain, plain, useless)]) is Verdict.HOLDS
    assert judge(place, [encrypted(metric, plain, plain, useful)]) is Verdict.FAILS
    assert judge(place, [encrypted(metric, plain, plain + 1, useful)]) is Verdict.FAILS
    assert judge(place, [encrypted(metric, plain, plain, wrong) for wrong in (useless, useful)]) is Verdict.PARTLY
    assert judge(place, [encrypted(metric, plain, plain, useless, plain_query=useful)]) is Verdict.PARTLY


@pytest.mark.parametrize(("place", "metric", "plain", "worse"), [("Table II", "wer", 4.0, 9.0),
                                                                 ("Table III", "accuracy", 80.0, 75.0)])  # fmt: skip
def test_with_shuffling_answers_need_only_be_worse(place, metric, plain, worse):
    assert judge(place, [encrypted(metric, plain, plain, worse, mode="shuffling")]) is Verdict.HOLDS
    assert judge(place, [encrypted(metric, plain, plain, plain, mode="shuffling")]) is Verdict.FAILS
    within = encrypted(metric, plain, plain, worse, mode="shuffling", incorrect_sd=6.0)
    assert judge(place, [within]) is Verdict.FAILS
    assert judge("Table I", [encrypted("eer", 8.0, 8.0, 9.0, mode="shuffling")]) is Verdict.FAILS


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
    assert judge(place, rates("eer", (None, None, None), (9.0, 5.0, 1.0))) is Verdict.HOLDS


def test_attacks_that_succeed_refute_the_claim():
    def at(correlation, metric):
        return row("rom", {metric: correlation}, parameters={"block_size": 3})

    for place, metric in (("Figure 8", "correlation_of_spectrograms"), ("first paper, Figures 8 and 9", "correlation")):
        assert judge(place, [at(0.1, metric), at(-0.2, metric)]) is Verdict.HOLDS
        assert judge(place, [at(0.1, metric), at(0.2, metric), at(0.9, metric)]) is Verdict.PARTLY
        assert judge(place, [at(0.1, metric), at(0.9, metric)]) is Verdict.FAILS
        assert judge(place, [at(-0.9, metric)]) is Verdict.FAILS


def trained(mode, auc, event=0.84, sdr=None, spread=0.0):
    figures = {
        "attack_auc": auc,
        "event_accuracy": event,
        "sdr_db": sdr,
        "attack_auc_std": spread,
        "sdr_db_std": spread,
    }
    return row(mode, figures, parameters={"runs": 3})


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
    assert judge("Table 2, masking", [masked, good]) is Verdict.HOLDS
    assert judge("Table 2, masking", [trained("masked-binary", 0.4), good]) is Verdict.FAILS
    assert judge("§3.4, SDR", [good, learnt]) is Verdict.HOLDS
    assert judge("§3.4, SDR", [bad, learnt]) is Verdict.FAILS


def test_both_recipes_are_judged_and_named():
    (item,) = [item for item in ITEMS if item.place == "Table 2, privacy"]
    baseline, tuned = trained("supervised+", 0.9), trained("rdal-m-fixed-mask+", 0.55)
    as_published = trained("rdal-m-fixed-mask", 0.89, 0.748, spread=0.04)
    found = item.judge([baseline, tuned, as_published])
    assert found.verdict is Verdict.PARTLY
    assert "as published, fixed mask 0.89 ± 0.04 and 74.8 %" in found.because
    assert "strengthened, fixed mask 0.55 and 84.0 %" in found.because
    assert item.judge([baseline, tuned]).verdict is Verdict.PARTLY
    assert item.judge([baseline, tuned, trained("rdal-m-fixed-mask", 0.5)]).verdict is Verdict.PARTLY
    assert item.judge([baseline, trained("rdal-m-fixed-mask+", 0.8), as_published]).verdict is Verdict.FAILS


def test_what_only_the_strengthened_recipe_shows_holds_in_part_at_most():
    rows = [trained("masked-binary+", 0.83, sdr=9.0), trained("rdal-m-fixed-mask+", 0.5, sdr=9.0)]
    rows += [trained("rdal-m-learnable-mask+", 0.6, sdr=3.0)]
    for place in ("Table 2, ablation", "Table 2, masking", "§3.4, SDR"):
        assert judge(place, rows) is Verdict.PARTLY


def test_a_difference_within_the_deviations_does_not_count():
    (item,) = [item for item in ITEMS if item.place == "Table 2, ablation"]
    ours = trained("rdal-m-fixed-mask", 0.55, spread=0.04)
    near, far = trained("masked-continuous", 0.59, spread=0.01), trained("rdal", 0.8, spread=0.02)
    found = item.judge([ours, near, far])
    assert found.verdict is Verdict.PARTLY
    assert "within the noise of 3 runs: masked-continuous" in found.because
    assert "masked-continuous 0.59 ± 0.01" in found.because
    assert item.judge([ours, near]).verdict is Verdict.OPEN
    assert item.judge([ours, near, trained("rdal", 0.3, spread=0.02)]).verdict is Verdict.FAILS


def test_pictures_of_encrypted_speech():
    def shown(correlation, energies):
        metrics = {"correlation": correlation, "correlation_of_block_energies": energies}
        return row("spectrogram rom", metrics, parameters={"block_size": 8})

    assert judge("Figures 3 to 6", [shown(0.1, 0.2)]) is Verdict.HOLDS
    assert judge("Figures 3 to 6", [shown(0.1, 1.0)]) is Verdict.PARTLY
    assert judge("Figures 3 to 6", [shown(0.9, 1.0)]) is Verdict.FAILS
    (item,) = [item for item in ITEMS if item.place == "Figures 3 to 6"]
    because = item.judge([shown(0.1, 1.0), shown(0.2, 1.0)]).because
    assert "0.1 to 0.2 point by point, and 1 by the energy" in because
