"""Dias, Abad, Trancoso: Secure Modular Hashing (§4) and the cryptonet (§5)."""

from __future__ import annotations

from collections.abc import Sequence

from sotto.bench.claims.claim import Item, Judgement, Paper, by_share, open_for
from sotto.bench.row import Row

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
    errors = [row.metrics.get("largest_error_in_standard_errors") for row in rows]
    found = [error for error in errors if error is not None]
    if not found:
        return open_for("no curve was measured")
    return by_share(
        sum(error < 5 for error in found),
        len(found),
        f"hashes under real keys stay within {max(found):.2g} standard errors of the closed form, which rises from 0"
        " and saturates at 1 - 1/k; with the dither as printed it depends on where the vectors lie",
    )


def _table_1(rows: Sequence[Row]) -> Judgement:
    cells = {
        (str(row.parameters["task"]), int(str(row.parameters["k"])), float(str(row.parameters["delta"]))): (
            row.metrics.get("leakage"),
            row.published.get("leakage"),
        )
        for row in rows
        if row.parameters.get("delta") is not None and row.parameters.get("k") is not None
    }
    right = of = 0
    differences = []
    for (task, k, delta), (ours, paper) in cells.items():
        if ours is None:
            continue
        for other in ((task, k + 1, delta), (task, k + 2, delta), (task, k, delta + 0.5)):
            if other in cells and (larger := cells[other][0]) is not None:
                right, of = right + (larger >= ours), of + 1
        if paper is not None:
            differences.append(abs(ours - paper))
    if not differences:
        return open_for("no cell was measured")
    return by_share(
        right,
        of,
        f"leakage grows with k and with delta in {right} of {of} neighbouring cells; from the printed figures ours"
        f" differ by {100 * sum(differences) / len(differences):.3g} points on average, as other features lie at other"
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
    sentences, good = [], 0
    for row in printed:
        lost, leakage = row.metrics.get("points_lost"), row.metrics.get("leakage")
        if lost is None or leakage is None:
            continue
        good += lost <= 3 and leakage <= 0.3
        sentences.append(f"{row.parameters['task']}: {lost:.3g} points lost at {100 * leakage:.3g} % leakage")
    best = min(
        (
            (row.metrics["points_lost"] or 0.0, row)
            for row in rows
            if row.metrics.get("points_lost") is not None and (row.metrics.get("leakage") or 1) <= 0.3
        ),
        key=lambda each: each[0],
        default=None,
    )
    if best is not None:
        sentences.append(
            f"least loss below 30 % leakage: {best[0]:.3g} points ({best[1].parameters['task']}, k ="
            f" {best[1].parameters['k']}, {best[1].parameters['features']} features)"
        )
    return by_share(good, len(printed), "; ".join(sentences))


def _joint_learning(rows: Sequence[Row]) -> Judgement:
    gains = []
    for row in rows:
        union, alone, own = (
            row.metrics.get(name) for name in ("accuracy_union", "accuracy_alone_hashed", "accuracy_union_own_keys")
        )
        if union is not None and alone is not None and own is not None:
            gains.append((union - alone, union - own))
    if not gains:
        return open_for("nothing was pooled")
    return by_share(
        sum(gain > 0 and keys > 0 for gain, keys in gains),
        len(gains),
        f"pooled hashes gain {100 * min(g for g, _ in gains):.3g} to {100 * max(g for g, _ in gains):.3g} points over a"
        " party alone on hashes, but every party holds the key that opens the others' hashes",
    )


def _table_3(rows: Sequence[Row]) -> Judgement:
    far = []
    for row in rows:
        for name, printed in row.published.items():
            ours = row.metrics.get(name)
            if name.startswith("x^") and ours is not None and printed is not None and "training" not in row.parameters:
                far.append((abs(ours - printed), f"degree {row.parameters.get('degree')} {name}"))
    if not far:
        return open_for("no coefficient to compare")
    wrong = [name for distance, name in far if distance > 0.005]
    return by_share(
        len(far) - len(wrong),
        len(far),
        f"{len(far) - len(wrong)} of {len(far)} coefficients are, to 0.005, the least-squares fit under the standard"
        " normal density" + (f"; not {', '.join(wrong)}, read as a misprint" if wrong else ""),
    )


def _table_4(rows: Sequence[Row]) -> Judgement:
    swapped = {
        (int(str(row.parameters["degree"])), bool(row.parameters["normalisation"])): row.accuracy_private
        for row in rows
        if row.parameters.get("training") == "swapped" and row.accuracy_private is not None
    }
    relu = next((value for row in rows if (value := row.metrics.get("accuracy_relu")) is not None), None)
    plain, normal = swapped.get((2, False)), swapped.get((2, True))
    if relu is None or plain is None or normal is None:
        return open_for("degree 2 was not measured with and without normalisation")
    right = int(normal > plain)
    higher = [value for (degree, _), value in swapped.items() if degree > 2 and value is not None]
    right += sum(value >= relu - 0.03 for value in higher)
    agreements = [row.agreement for row in rows if row.agreement is not None]
    least = min(agreements, default=0.0)
    return by_share(
        right,
        1 + len(higher),
        f"with ReLU {100 * relu:.3g} %; degree 2 {100 * plain:.3g} % without and {100 * normal:.3g} % with"
        f" normalisation; higher degrees {', '.join(f'{100 * value:.3g} %' for value in higher)}"
        + (f"; encrypted and plain networks agree on at least {100 * least:.4g} % of the clips" if agreements else ""),
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
