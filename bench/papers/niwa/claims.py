"""Niwa, Shiota, Kiya: secret-key transforms of speech, in the first paper and in the extended one (numbers are its)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from sotto.bench.claims.claim import Item, Judge, Judgement, Paper, Verdict, by_share, open_for
from sotto.bench.row import Row

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

    def judge(rows: Sequence[Row]) -> Judgement:
        sentences, right, of = [], 0, 0
        for row in rows:
            plain, correct, wrong, without = (
                row.metrics.get(f"{metric}_{column}")
                for column in ("plain_model", "correct_key", "incorrect_key", "plain_query")
            )
            if plain is None or correct is None or wrong is None:
                continue
            if row.mode in weak:
                least = _error(metric, plain) + (row.metrics.get(f"{metric}_incorrect_sd") or 0.0)
            else:
                least = (_error(metric, plain) + _CHANCE[metric]) / 2
            unkeyed = [_error(metric, value) for value in (wrong, without) if value is not None]
            right += (abs(correct - plain) < 1e-9) + sum(error > least for error in unkeyed)
            of += 1 + len(unkeyed)
            sentences.append(
                f"{row.mode}: plain {plain:.3g} %, correct key {correct:.3g} %, incorrect keys {wrong:.3g} %"
                + ("" if without is None else f", no key {without:.3g} %")
            )
        return by_share(right, of, f"{right} of {of} comparisons as claimed: {'; '.join(sentences)}")

    return judge


def _error(metric: str, rate: float) -> float:
    return 100 - rate if metric == "accuracy" else rate


def _rising(rates: dict[str, list[tuple[int, float]]], what: str) -> Judgement:
    """Whether each series of (block size, rate) rises."""
    right = of = 0
    for series in rates.values():
        ordered = [rate for _, rate in sorted(series)]
        right += sum(later >= earlier for earlier, later in pairwise(ordered))
        of += len(ordered) - 1
    shown = "; ".join(
        f"{name}: " + ", ".join(f"M = {size} {rate:.3g} %" for size, rate in sorted(series))
        for name, series in rates.items()
    )
    return by_share(right, of, f"{what}: {shown}")


def _block_size(rows: Sequence[Row]) -> Judgement:
    rates: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        if (rate := row.metrics.get("wer")) is not None:
            rates.setdefault(row.mode, []).append((int(str(row.parameters["block_size"])), rate))
    plain = next((value for row in rows if (value := row.metrics.get("wer_plain")) is not None), None)
    known = "" if plain is None else f", {plain:.3g} % on plain speech"
    return _rising(rates, f"word error rate of an unmodified recogniser{known}")


def _wrong_keys(rows: Sequence[Row]) -> Judgement:
    """Whether means rise and variances fall with the block size, each where it is known."""
    right = of = 0
    sentences = []
    for metric, task in (("eer", "verification"), ("wer", "recognition")):
        means, variances = _by_block_size(rows, metric), _by_block_size(rows, f"{metric}_variance")
        changes = [later - earlier for earlier, later in pairwise(means.values())]
        changes += [earlier - later for earlier, later in pairwise(variances.values())]
        right, of = right + sum(change >= 0 for change in changes), of + len(changes)
        shown = [
            f"M = {size}"
            + (f" {means[size]:.3g} %" if size in means else "")
            + (f" with variance {variances[size]:.3g}" if size in variances else "")
            for size in sorted({*means, *variances})
        ]
        sentences += [f"{task}: {', '.join(shown)}"] * bool(shown)
    return by_share(right, of, "; ".join(sentences))


def _by_block_size(rows: Sequence[Row], metric: str) -> dict[int, float]:
    found = [
        (int(str(row.parameters["block_size"])), value)
        for row in rows
        if (value := row.metrics.get(metric)) is not None
    ]
    return dict(sorted(found))


def _attack(metric: str, name: str) -> Judge:
    """The papers say that an attack recovers next to nothing: here that no row's correlation exceeds a half."""

    def judge(rows: Sequence[Row]) -> Judgement:
        found = [
            (abs(value), f"{row.mode} M = {row.parameters.get('block_size')}")
            for row in rows
            if row.parameters.get("block_size") and row.parameters.get("attack") != "encrypted"
            if (value := row.metrics.get(metric)) is not None
        ]
        if not found:
            return open_for("nothing was attacked")
        most, where = max(found)
        small = sum(value < 0.5 for value, _ in found)
        return by_share(
            small,
            len(found),
            f"{small} of {len(found)} {name} correlate below 0.5 with the plain one; most: {most:.2g} ({where})",
        )

    return judge


def _key_space(rows: Sequence[Row]) -> Judgement:
    equal = [
        abs((row.metrics.get("key_space_bits") or 0) - bits) < 1
        for row in rows
        for bits in row.published.values()
        if bits
    ]
    broken = [value for row in rows if (value := row.metrics.get("known_blocks_until_exact"))]
    if not equal:
        return open_for("no key space was counted")
    because = f"{sum(equal)} of {len(equal)} counts agree to a bit"
    if broken:
        because += (
            f"; yet {min(broken):.0f} to {max(broken):.0f} known blocks give a key away: the size of the key space is"
            " no security level"
        )
    return by_share(sum(equal), len(equal), because)


def _figures(rows: Sequence[Row]) -> Judgement:
    shown = [row for row in rows if row.mode.startswith("spectrogram ")]
    values, energies = (
        [abs(value) for row in shown if (value := row.metrics.get(name)) is not None]
        for name in ("correlation", "correlation_of_block_energies")
    )
    if not values or not energies:
        return open_for("no example was encrypted")
    hidden = sum(value < 0.5 for value in values + energies)
    verdict = Verdict.HOLDS if hidden == len(values + energies) else Verdict.PARTLY if hidden else Verdict.FAILS
    return Judgement(
        verdict,
        f"correlation with the plain spectrograms: {_range(values)} point by point, and {_range(energies)} by the"
        " energy of blocks of 32 x 32: detail is gone, loudness over time and frequency is not",
    )


def _range(values: Sequence[float]) -> str:
    """The least and the largest, or one number where they look alike."""
    return " to ".join(dict.fromkeys((f"{min(values):.2g}", f"{max(values):.2g}")))


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
