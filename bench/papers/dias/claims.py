"""Dias, Abad, Trancoso: Secure Modular Hashing (§4) and the cryptonet (§5)."""

from __future__ import annotations

from collections.abc import Sequence

from sotto.bench.claims.claim import Item, Judgement, Paper, by_share, known, number, open_for
from sotto.bench.rows.row import Row

PAPER = Paper(
    "dias",
    "Miguel Dias, Alberto Abad, Isabel Trancoso",
    "Exploring hashing and cryptonet based approaches for privacy-preserving speech emotion recognition",
)

_CORPUS = (
    "The paper's emotional speech of children cannot be had; neutral and angry acted speech here, every actor tested by"
    " models that never heard them."
)
_EMOTIONS = ("ravdess", "synthetic")


def _figure_1(rows: Sequence[Row]) -> Judgement:
    errors = [error for _, (error,) in known(rows, "largest_error_in_standard_errors")]
    if not errors:
        return open_for("no curve was measured")
    return by_share(
        [error < 5 for error in errors],
        f"hashes under real keys stay within {max(errors):.2g} standard errors of the closed form, which rises from 0"
        " and saturates at 1 - 1/k; with the dither as printed it depends on where the vectors lie",
    )


def _table_1(rows: Sequence[Row]) -> Judgement:
    cells = {
        (str(row.parameters["task"]), int(number(row, "k")), number(row, "delta")): row
        for row in rows
        if row.parameters.get("delta") is not None and row.parameters.get("k") is not None
    }
    ours = {cell: leakage for cell, row in cells.items() if (leakage := row.metrics.get("leakage")) is not None}
    grows = [
        ours[larger] >= leakage
        for (task, k, delta), leakage in ours.items()
        for larger in ((task, k + 1, delta), (task, k + 2, delta), (task, k, delta + 0.5))
        if larger in ours
    ]
    printed = {cell: row.published.get("leakage") for cell, row in cells.items()}
    apart = [abs(leakage - other) for cell, leakage in ours.items() if (other := printed[cell]) is not None]
    if not apart:
        return open_for("no cell was measured")
    return by_share(
        grows,
        f"leakage grows with k and with delta in {sum(grows)} of {len(grows)} neighbouring cells; from the printed"
        f" figures ours differ by {100 * sum(apart) / len(apart):.3g} points on average, as other features lie at other"
        " distances",
    )


def _table_2(rows: Sequence[Row]) -> Judgement:
    printed = [
        row
        for row in rows
        if row.mode == "paper" and row.parameters.get("k") == 3 and row.parameters.get("delta") == 2.0
    ]
    if not printed:
        return open_for("the compromise k = 3, delta = 2 was not measured")
    measured = known(printed, "points_lost", "leakage")
    sentences = [
        f"{row.parameters['task']}: {lost:.3g} points lost at {100 * leakage:.3g} % leakage"
        for row, (lost, leakage) in measured
    ]
    tight = [(lost, row) for row, (lost, leakage) in known(rows, "points_lost", "leakage") if 0 < leakage <= 0.3]
    if tight:
        lost, best = min(tight, key=lambda each: each[0])
        sentences.append(
            f"least loss below 30 % leakage: {lost:.3g} points ({best.parameters['task']}, k ="
            f" {best.parameters['k']}, {best.parameters['features']} features)"
        )
    good = [lost <= 3 and leakage <= 0.3 for _, (lost, leakage) in measured]
    return by_share([*good, *[False] * (len(printed) - len(good))], "; ".join(sentences))


def _joint_learning(rows: Sequence[Row]) -> Judgement:
    gains = [
        (union - alone, union - own)
        for _, (union, alone, own) in known(rows, "accuracy_union", "accuracy_alone_hashed", "accuracy_union_own_keys")
    ]
    if not gains:
        return open_for("nothing was pooled")
    over_one = [100 * gain for gain, _ in gains]
    return by_share(
        [gain > 0 and keys > 0 for gain, keys in gains],
        f"pooled hashes gain {min(over_one):.3g} to {max(over_one):.3g} points over a"
        " party alone on hashes, but every party holds the key that opens the others' hashes",
    )


def _table_3(rows: Sequence[Row]) -> Judgement:
    far = [
        (abs(ours - printed), f"degree {row.parameters.get('degree')} {name}")
        for row in rows
        if "training" not in row.parameters
        for name, printed in row.published.items()
        if name.startswith("x^") and printed is not None and (ours := row.metrics.get(name)) is not None
    ]
    if not far:
        return open_for("no coefficient to compare")
    wrong = [name for distance, name in far if distance > 0.005]
    return by_share(
        [distance <= 0.005 for distance, _ in far],
        f"{len(far) - len(wrong)} of {len(far)} coefficients are, to 0.005, the least-squares fit under the standard"
        " normal density" + (f"; not {', '.join(wrong)}, read as a misprint" if wrong else ""),
    )


def _table_4(rows: Sequence[Row]) -> Judgement:
    swapped = {
        (number(row, "degree"), bool(row.parameters["normalisation"])): row.accuracy_private
        for row in rows
        if row.parameters.get("training") == "swapped" and row.accuracy_private is not None
    }
    relu = next((value for _, (value,) in known(rows, "accuracy_relu")), None)
    plain, normal = swapped.get((2, False)), swapped.get((2, True))
    if relu is None or plain is None or normal is None:
        return open_for("degree 2 was not measured with and without normalisation")
    higher = [value for (degree, _), value in swapped.items() if degree > 2]
    agreements = [row.agreement for row in rows if row.agreement is not None]
    return by_share(
        [normal > plain, *(value >= relu - 0.03 for value in higher)],
        f"with ReLU {100 * relu:.3g} %; degree 2 {100 * plain:.3g} % without and {100 * normal:.3g} % with"
        f" normalisation; higher degrees {', '.join(f'{100 * value:.3g} %' for value in higher)}"
        + (
            f"; encrypted and plain networks agree on at least {100 * min(agreements):.4g} % of the clips"
            if agreements
            else ""
        ),
    )


ITEMS = (
    Item(PAPER.key, "Figure 1", "dias-figure1", "Hamming distance follows Euclidean distance and then saturates.",
         "None: a closed form, and hashes of made-up vectors.", _figure_1),
    Item(PAPER.key, "Table 1", "dias-table1", "Leakage grows with k and with delta.", _CORPUS, _table_1, _EMOTIONS),
    Item(PAPER.key, "Table 2", "dias-table2",
         "With k = 3 and delta = 2, at about 30 % leakage, hashing costs about two points of accuracy.",
         _CORPUS, _table_2, _EMOTIONS),
    Item(PAPER.key, "§4.2.3", "dias-sjl", "Parties who hash with one key can train a joint model on the pooled hashes.",
         f"The paper measures nothing here. {_CORPUS}", _joint_learning, _EMOTIONS),
    Item(PAPER.key, "Table 3", "dias-table3", "ReLU is replaced by polynomials of degree 2, 4 and 6.",
         "None: a closed form.", _table_3),
    Item(PAPER.key, "Table 4", "dias-table4",
         "Normalisation rescues degree 2, and degrees 4 and 6 come close to ReLU.", _CORPUS, _table_4, _EMOTIONS),
)  # fmt: skip
"""The paper's §4 and §5 in its own order."""
