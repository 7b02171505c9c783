"""Every judge on its paper's own figures, as if they were ours: a claim must hold on what the paper printed."""

from __future__ import annotations

import msgspec
import pytest

from sotto.bench.papers.bittner import latency as bittner_latency
from sotto.bench.papers.dias.cryptonet import table3, table4
from sotto.bench.papers.dias.smh import table1, table2
from sotto.bench.papers.dias.smh.study import PAPER_DELTAS
from sotto.bench.papers.luong import table2 as rdal_table2
from sotto.bench.papers.niwa import block_sizes, encrypted_tasks, incorrect_keys, key_space
from sotto.bench.papers.niwa.encrypted_tasks import COLUMNS
from sotto.bench.reproduction.paper_claims import ITEMS, Verdict
from sotto.bench.rows.row import Row, Timing
from sotto.keyed import generate_key
from sotto.models.networks.polynomial import TABLE_3

EXEMPT = {
    "abstract, accuracy": "the abstract prints no accuracy",
    "Figure 1": "a drawing without numbers",
    "§4.2.3": "a procedure that the paper does not measure",
    "Figures 3 to 6": "spectrograms to look at",
    "Figure 8": "a spectrogram to look at",
    "first paper, Figures 8 and 9": "spectrograms to look at",
}


def printed(mode="paper", parameters=None, **figures):
    return Row(
        paradigm="plaintext", mode=mode, model="printed", corpus="printed", seed=0, n_queries=1,
        parameters=parameters or {}, metrics=figures, published=figures,
    )  # fmt: skip


def latency():
    """The papers' times are of everything: nothing is offline."""
    for mode, time in bittner_latency._PAPER.items():
        row = printed(mode, {"net": "loopback"})
        yield msgspec.structs.replace(row, online_ms=Timing(time, time), offline_ms=Timing(0.0, 0.0))


def leakage():
    for k, figures in table1.PUBLISHED.items():
        for delta, share in zip(PAPER_DELTAS, figures, strict=True):
            yield printed(parameters={"task": "t", "k": k, "delta": delta}, leakage=share)


def hashed_accuracy():
    leaking = {(row.parameters["k"], row.parameters["delta"]): row.metrics["leakage"] for row in leakage()}
    for k, figures in table2.PUBLISHED.items():
        for delta, share in zip(PAPER_DELTAS, figures, strict=True):
            lost = None if share is None else 100 * (table2.PUBLISHED_PLAIN - share)
            parameters = {"task": "t", "features": "range", "k": k, "delta": delta}
            yield printed(parameters=parameters, points_lost=lost, leakage=leaking[k, delta])


def polynomials():
    for degree, coefficients in TABLE_3.items():
        yield printed("polynomial", {"degree": degree}, **table3._figures(coefficients))


def encrypted_network():
    for (degree, normalised), share in table4.PUBLISHED.items():
        parameters = {"degree": degree, "normalisation": normalised, "training": "swapped"}
        row = printed("packed", parameters, accuracy_relu=table4.PUBLISHED_RELU)
        yield msgspec.structs.replace(row, accuracy_private=share)


def scenario(task, metric):
    """The tables of both papers, the extended one's and the first one's."""
    for table in task.published.values():
        for kind, figures in table.items():
            named = zip(COLUMNS, figures, strict=True)
            yield printed(kind, **{f"{metric}_{column}": figure for column, figure in named})


def encrypted_waveforms():
    for kind, figures in block_sizes._PUBLISHED.items():
        for size, rate in figures.items():
            yield printed(kind, {"block_size": size}, wer=rate)


def variances():
    for size, variance in incorrect_keys._VARIANCE.items():
        yield printed("rom", {"block_size": size}, eer_variance=variance)


def key_spaces():
    for kind in ("shuffling", "flipping"):
        for size in (3, 10, 128):
            yield printed(kind, key_space_bits=key_space._published_bits(generate_key(kind, size, 1)))


def representations():
    for column, figures in rdal_table2._PUBLISHED.items():
        yield printed(column, **figures)


ROWS = {
    "bittner-latency": list(latency()),
    "dias-table1": list(leakage()),
    "dias-table2": list(hashed_accuracy()),
    "dias-table3": list(polynomials()),
    "dias-table4": list(encrypted_network()),
    "kiya-asv": list(scenario(encrypted_tasks.VERIFICATION, "eer")),
    "kiya-asr": list(scenario(encrypted_tasks.RECOGNITION, "wer")),
    "kiya-asc": list(scenario(encrypted_tasks.SCENES, "accuracy")),
    "kiya-block-size": list(encrypted_waveforms()),
    "kiya-wrong-keys": list(variances()),
    "kiya-key-space": list(key_spaces()),
    "rdal-table2": list(representations()),
}


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: f"{item.paper} {item.place}")
def test_a_claim_holds_on_what_its_paper_printed(item):
    if item.place in EXEMPT:
        pytest.skip(EXEMPT[item.place])
    judgement = item.judge(ROWS[item.target])
    assert judgement.verdict is Verdict.HOLDS, judgement.because
