"""Luong, Tran, Gharib, Drossos, Virtanen: RDAL-M, source separation and robust adversarial representation learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.claims.claim import Item, Judge, Judgement, Paper, Verdict, by_share, open_for
from bench.row import Row

PAPER = Paper(
    "luong",
    "Diep Luong, Minh Tran, Shayan Gharib, Konstantinos Drossos, Tuomas Virtanen",
    "Representation learning for audio privacy preservation using source separation and robust adversarial learning",
)

_CORPUS = (
    "Fewer recordings: UrbanSound8K and ESC-10 with LibriSpeech instead of FSD50K, and smaller networks in the quick"
    " preset. The attacker is the strongest of several architectures, not the paper's one."
)
_HIDDEN = 0.6  # the largest area under the attacker's curve that counts as hiding speech
_TELLING = 0.8  # the least area for the unprotected baseline, without which the attackers prove nothing
_POINTS = 0.02  # of event accuracy that may be lost


def _best(rows: Sequence[Row], figure: str) -> Mapping[str, float]:
    """The figure of every column, all trained in the same way: as published, or strengthened (a name with +)."""
    ways: dict[bool, dict[str, float]] = {False: {}, True: {}}
    for row in rows:
        if (value := row.metrics.get(figure)) is not None:
            ways[row.mode.endswith("+")][row.mode.rstrip("+")] = value
    return max(ways.values(), key=len)


def _privacy(rows: Sequence[Row]) -> Judgement:
    areas, events = _best(rows, "attack_auc"), _best(rows, "event_accuracy")
    ours, baseline = areas.get("rdal-m-fixed-mask"), areas.get("supervised")
    if ours is None or baseline is None or not {"rdal-m-fixed-mask", "supervised"} <= events.keys():
        return open_for("the fixed mask or the supervised baseline was not trained")
    kept = events["rdal-m-fixed-mask"] >= events["supervised"] - _POINTS
    because = (
        f"AUC of the strongest attacker {ours:.2f} for RDAL-M with the fixed mask and {baseline:.2f} for the supervised"
        f" baseline; event accuracy {100 * events['rdal-m-fixed-mask']:.3g} % against"
        f" {100 * events['supervised']:.3g} %"
    )
    if baseline < _TELLING:
        return open_for(f"the attackers hear too little even in the baseline to tell: {because}")
    if ours > _HIDDEN:
        return Judgement(Verdict.FAILS, because)
    return Judgement(Verdict.HOLDS if kept else Verdict.PARTLY, because)


def _ablation(rows: Sequence[Row]) -> Judgement:
    areas = _best(rows, "attack_auc")
    ours = areas.get("rdal-m-fixed-mask")
    others = {name: area for name, area in areas.items() if name != "rdal-m-fixed-mask"}
    if ours is None or not others:
        return open_for("nothing to compare the fixed mask with")
    shown = ", ".join(f"{name} {area:.2f}" for name, area in sorted(others.items(), key=lambda each: each[1]))
    return by_share(
        sum(ours <= area for area in others.values()), len(others), f"AUC of the fixed mask {ours:.2f}; {shown}"
    )


def _masking(rows: Sequence[Row]) -> Judgement:
    areas = [area for name, area in _best(rows, "attack_auc").items() if name.startswith("masked-")]
    if not areas:
        return open_for("masks without adversarial learning were not trained")
    return Judgement(
        Verdict.HOLDS if min(areas) > _HIDDEN else Verdict.FAILS,
        f"AUC of the strongest attacker after masks alone {' and '.join(f'{area:.2f}' for area in areas)}",
    )


def _separation(rows: Sequence[Row]) -> Judgement:
    ratios = _best(rows, "sdr_db")
    fixed, learnt = ratios.get("rdal-m-fixed-mask"), ratios.get("rdal-m-learnable-mask")
    if fixed is None or learnt is None:
        return open_for("the separation was not measured")
    return Judgement(
        Verdict.HOLDS if learnt < fixed else Verdict.FAILS,
        f"SDR {fixed:.3g} dB for the fixed mask, {learnt:.3g} dB for the learnable one after adversarial learning",
    )


def _item(place: str, claim: str, judge: Judge) -> Item:
    return Item(PAPER.key, place, "rdal-table2", claim, _CORPUS, judge, ("urbansound8k",))


ITEMS: tuple[Item, ...] = (
    _item("Table 2, privacy", "RDAL-M with a fixed mask hides speech at no cost in event accuracy.", _privacy),
    _item("Table 2, ablation", "It hides speech better than every part of it alone.", _ablation),
    _item("Table 2, masking", "Source separation alone does not hide speech.", _masking),
    _item("§3.4, SDR", "A learnable mask gives up separating speech.", _separation),
)
