"""Niwa, Shiota, Kiya: secret-key transforms of speech, in the first paper and in the extended one (numbers are its)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sotto.bench.claims.claim import Item, Judge, Judgement, Paper, Verdict, by_share, known, number, open_for, shown
from sotto.bench.rows.row import Row

PAPER = Paper(
    "niwa",
    "Shoko Niwa, Sayaka Shiota, Hitoshi Kiya",
    "A privacy-preserving method using secret key for convolutional neural network-based speech classification, and its"
    " extension with random orthogonal matrices",
)

_SPEECH = ("librispeech", "ravdess", "synthetic")


_CHANCE = {"eer": 50.0, "wer": 100.0, "accuracy": 90.0}  # errors in % without knowing anything; of ten classes


def _encrypted_model(metric: str, *, weak: Sequence[str] = ()) -> Judge:
    """The correct key changes nothing; an incorrect key, and none, make useless answers: at least halfway to chance.

    ``weak``: key types whose printed errors are not that large either.  Of those only more errors than the plain
    model's are asked, by more than the deviation over incorrect keys.
    """

    def error(rate: float) -> float:
        return 100 - rate if metric == "accuracy" else rate

    def judge(rows: Sequence[Row]) -> Judgement:
        sentences, outcomes = [], []
        columns = (f"{metric}_{name}" for name in ("plain_model", "correct_key", "incorrect_key"))
        for row, (plain, correct, wrong) in known(rows, *columns):
            without = row.metrics.get(f"{metric}_plain_query")
            if row.mode in weak:
                least = error(plain) + (row.metrics.get(f"{metric}_incorrect_sd") or 0.0)
            else:
                least = (error(plain) + _CHANCE[metric]) / 2
            outcomes.append(abs(correct - plain) < 1e-9)
            outcomes += [error(rate) > least for rate in (wrong, without) if rate is not None]
            sentences.append(
                f"{row.mode}: plain {plain:.3g} %, correct key {correct:.3g} %, incorrect keys {wrong:.3g} %"
                + ("" if without is None else f", no key {without:.3g} %")
            )
        because = f"{sum(outcomes)} of {len(outcomes)} comparisons as claimed: {'; '.join(sentences)}"
        return by_share(outcomes, because)

    return judge


def _block_size(rows: Sequence[Row]) -> Judgement:
    """Whether the rate of each key type rises with the block size."""
    rates: dict[str, list[tuple[float, float]]] = {}
    for row, (rate,) in known(rows, "wer"):
        rates.setdefault(row.mode, []).append((number(row, "block_size"), rate))
    rising = [later >= earlier for series in rates.values() for (_, earlier), (_, later) in pairwise(sorted(series))]
    series_shown = "; ".join(
        f"{name}: " + ", ".join(f"M = {size:g} {rate:.3g} %" for size, rate in sorted(series))
        for name, series in rates.items()
    )
    plain = next((value for _, (value,) in known(rows, "wer_plain")), None)
    beside = "" if plain is None else f", {plain:.3g} % on plain speech"
    return by_share(rising, f"word error rate of an unmodified recogniser{beside}: {series_shown}")


def _wrong_keys(rows: Sequence[Row]) -> Judgement:
    """Whether means rise and variances fall with the block size, each where it is known."""
    outcomes, sentences = [], []
    for metric, task in (("eer", "verification"), ("wer", "recognition")):
        means, variances = (
            dict(sorted((number(row, "block_size"), figure) for row, (figure,) in known(rows, name)))
            for name in (metric, f"{metric}_variance")
        )
        outcomes += [later >= earlier for earlier, later in pairwise(means.values())]
        outcomes += [later <= earlier for earlier, later in pairwise(variances.values())]
        sizes = [
            f"M = {size:g}"
            + (f" {means[size]:.3g} %" if size in means else "")
            + (f" with variance {variances[size]:.3g}" if size in variances else "")
            for size in sorted({*means, *variances})
        ]
        sentences += [f"{task}: {', '.join(sizes)}"] * bool(sizes)
    return by_share(outcomes, "; ".join(sentences))


def _attack(metric: str, name: str) -> Judge:
    """The papers say that an attack recovers next to nothing: here that no row's correlation exceeds a half."""

    def judge(rows: Sequence[Row]) -> Judgement:
        attacked = [
            (abs(value), f"{row.mode} M = {row.parameters.get('block_size')}")
            for row, (value,) in known(rows, metric)
            if row.parameters.get("block_size") and row.parameters.get("attack") != "encrypted"
        ]
        if not attacked:
            return open_for("nothing was attacked")
        small = [value < 0.5 for value, _ in attacked]
        most, where = max(attacked)
        return by_share(
            small,
            f"{sum(small)} of {len(small)} {name} correlate below 0.5 with the plain one; most: {most:.2g} ({where})",
        )

    return judge


def _key_space(rows: Sequence[Row]) -> Judgement:
    equal = [
        abs((row.metrics.get("key_space_bits") or 0) - bits) < 1
        for row in rows
        for bits in row.published.values()
        if bits
    ]
    if not equal:
        return open_for("no key space was counted")
    because = f"{sum(equal)} of {len(equal)} counts agree to a bit"
    if broken := [blocks for _, (blocks,) in known(rows, "known_blocks_until_exact") if blocks]:
        because += (
            f"; yet {min(broken):.0f} to {max(broken):.0f} known blocks give a key away: the size of the key space is"
            " no security level"
        )
    return by_share(equal, because)


def _figures(rows: Sequence[Row]) -> Judgement:
    drawn = [row for row in rows if row.mode.startswith("spectrogram ")]
    values, energies = (
        [abs(value) for _, (value,) in known(drawn, name)] for name in ("correlation", "correlation_of_block_energies")
    )
    if not values or not energies:
        return open_for("no example was encrypted")
    hidden = [value < 0.5 for value in values + energies]
    return Judgement(
        Verdict.HOLDS if all(hidden) else Verdict.PARTLY if any(hidden) else Verdict.FAILS,
        f"correlation with the plain spectrograms: {shown(values)} point by point, and {shown(energies)} by the"
        " energy of blocks of 32 x 32: detail is gone, loudness over time and frequency is not",
    )


_TRAINED_HERE = "A small network trained here on open recordings, speakers or recordings disjoint."
_USELESS = (
    "Useless means here: errors at least halfway from the plain model's to chance (an EER of 50 %, a WER of 100 %, 90 %"
    " wrong of ten classes)."
)

ITEMS = (
    Item(PAPER.key, "Table I", "kiya-asv", "An encrypted verifier is as good as the plain one with the correct key, and"
         " useless with an incorrect key or none.", f"{_TRAINED_HERE} LibriSpeech instead of VoxCeleb1. {_USELESS}",
         _encrypted_model("eer"), ("librispeech",)),
    Item(PAPER.key, "Table II", "kiya-asr", "The same for a recogniser of speech; with shuffling only worse.",
         f"{_TRAINED_HERE} Spoken digit strings instead of LibriSpeech. {_USELESS}",
         _encrypted_model("wer", weak=("shuffling",)), ("fsdd",)),
    Item(PAPER.key, "Table III", "kiya-asc", "The same for acoustic scenes; with shuffling only worse.",
         f"{_TRAINED_HERE} ESC-10 and UrbanSound8K instead of SINS. {_USELESS}",
         _encrypted_model("accuracy", weak=("shuffling",)), ("esc10",)),
    Item(PAPER.key, "Table IV", "kiya-block-size", "The larger the block, the less a plain recogniser understands.",
         _TRAINED_HERE, _block_size, ("fsdd",)),
    Item(PAPER.key, "Figures 9 to 11", "kiya-wrong-keys",
         "With larger blocks, incorrect keys give higher and more uniform error rates.",
         _TRAINED_HERE, _wrong_keys, ("librispeech",)),
    Item(PAPER.key, "Figures 3 to 6", "kiya-figures", "Encrypted sounds and spectrograms show no speech.",
         "Other utterances.", _figures, _SPEECH),
    Item(PAPER.key, "Figure 8", "kiya-pghi", "Phase reconstruction of an encrypted spectrogram gives no speech.",
         "Other utterances.", _attack("correlation_of_spectrograms", "reconstructions"), _SPEECH),
    Item(PAPER.key, "first paper, Figures 8 and 9", "kiya-decryption",
         "Attacks on block-scrambled images do not open encrypted spectrograms.", "Other utterances.",
         _attack("correlation", "attacked images"), _SPEECH),
    Item(PAPER.key, "§III-C", "kiya-key-space", "There are as many keys as printed.", "None.", _key_space, _SPEECH),
)  # fmt: skip
