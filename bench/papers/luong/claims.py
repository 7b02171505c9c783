"""Luong, Tran, Gharib, Drossos, Virtanen: RDAL-M, source separation and robust adversarial representation learning.

Columns are trained by two recipes: as published, and strengthened (a name with +).  Columns of one are never compared
with those of the other, but for the unprotected baseline where only one has it.  What only the strengthened recipe
shows holds in part at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from sotto.bench.claims.claim import Figure, Item, Judge, Judgement, Paper, Verdict, by_difference, figure, open_for
from sotto.bench.rows.row import Row

PAPER = Paper(
    "luong",
    "Diep Luong, Minh Tran, Shayan Gharib, Konstantinos Drossos, Tuomas Virtanen",
    "Representation learning for audio privacy preservation using source separation and robust adversarial learning",
)

_DIFFERS = (
    "Fewer recordings: UrbanSound8K and ESC-10 with LibriSpeech instead of FSD50K, and smaller networks in the quick"
    " preset. The attacker is the best of several architectures by cross-validation. A recipe called strengthened"
    " adds to the paper's, and was tuned on one of these runs."
)
_HIDDEN = 0.6  # the largest area under the attacker's curve that counts as hiding speech
_TELLING = 0.8  # the least area for the unprotected baseline, without which the attackers prove nothing
_POINTS = 0.02  # of event accuracy that may be lost
_FIXED, _LEARNABLE, _BASELINE = "rdal-m-fixed-mask", "rdal-m-learnable-mask", "supervised"
_PUBLISHED, _STRENGTHENED = "as published", "strengthened"

_Columns = Mapping[str, Figure]


def _recipes(rows: Sequence[Row], name: str) -> Mapping[str, _Columns]:
    """The figure ``name`` of every column, by recipe."""
    found: dict[str, dict[str, Figure]] = {_PUBLISHED: {}, _STRENGTHENED: {}}
    for row in rows:
        if (value := figure(row, name)) is not None:
            found[_STRENGTHENED if row.mode.endswith("+") else _PUBLISHED][row.mode.rstrip("+")] = value
    return found


def _fullest(recipes: Mapping[str, _Columns]) -> tuple[str, _Columns]:
    """The recipe by which most columns were trained: the parts are compared with the whole in that one alone."""
    return max(recipes.items(), key=lambda each: len(each[1]))


def _capped(recipe: str, judgement: Judgement) -> Judgement:
    if recipe == _STRENGTHENED and judgement.verdict is Verdict.HOLDS:
        return Judgement(Verdict.PARTLY, judgement.because)
    return judgement


def _privacy(rows: Sequence[Row]) -> Judgement:
    """Both recipes are judged; it holds where neither fails to hide."""
    areas, events = _recipes(rows, "attack_auc"), _recipes(rows, "event_accuracy")
    judged = []
    for recipe in areas:
        known = next((name for name in (recipe, *areas) if _BASELINE in areas[name].keys() & events[name].keys()), None)
        if known is not None and _FIXED in areas[recipe].keys() & events[recipe].keys():
            ours = _Column(f"{recipe}, fixed mask", areas[recipe][_FIXED], events[recipe][_FIXED])
            baseline = _Column(f"{_BASELINE} baseline ({known})", areas[known][_BASELINE], events[known][_BASELINE])
            judged.append(_capped(recipe, _hides(ours, baseline)))
    if not judged:
        return open_for("the fixed mask or the supervised baseline was not trained")
    verdicts = {each.verdict for each in judged}
    return Judgement(
        verdicts.pop() if len(verdicts) == 1 else Verdict.PARTLY,
        f"the attacker's AUC and event accuracy: {'; '.join(each.because for each in judged)}",
    )


@dataclass(frozen=True)
class _Column:
    """A trained column: what the attacker reaches, and the event accuracy."""

    name: str
    area: Figure
    event: Figure

    def __str__(self) -> str:
        return f"{self.name} {self.area.shown('.2f')} and {self.event.shown('.1f', 100)} %"


def _hides(ours: _Column, baseline: _Column) -> Judgement:
    because = f"{ours}, {baseline}"
    if baseline.area.mean < _TELLING:
        return open_for(f"{because}: too little to tell whether the attackers can hear at all")
    if ours.area.mean > _HIDDEN:
        return Judgement(Verdict.FAILS, because)
    return Judgement(Verdict.HOLDS if ours.event.mean >= baseline.event.mean - _POINTS else Verdict.PARTLY, because)


def _leaking_more(rows: Sequence[Row], parts: str) -> Judgement:
    """Whether every column whose name begins with ``parts`` leaves the attacker more than the fixed mask does."""
    areas = _recipes(rows, "attack_auc")
    recipe, columns = _fullest(areas)
    ours = columns.get(_FIXED)
    others = {name: area for name, area in columns.items() if name != _FIXED and name.startswith(parts)}
    if ours is None or not others:
        return open_for("nothing to compare the fixed mask with")
    outcomes = {name: ours.below(area) for name, area in others.items()}
    listed = sorted(others.items(), key=lambda each: each[1].mean)
    because = f"the attacker's AUC, {recipe}: fixed mask {ours.shown('.2f')}, " + ", ".join(
        f"{name} {area.shown('.2f')}" for name, area in listed
    )
    if alike := [name for name, outcome in outcomes.items() if outcome is None]:
        because += f"; within the noise of {ours.runs} runs: {', '.join(alike)}"
    for name, trained in areas.items():
        if name != recipe and _FIXED in trained:
            because += f"; the fixed mask {name}, whose parts were not trained: {trained[_FIXED].shown('.2f')}"
    return _capped(recipe, by_difference(list(outcomes.values()), because))


def _separation(rows: Sequence[Row]) -> Judgement:
    recipe, ratios = _fullest(_recipes(rows, "sdr_db"))
    fixed, learnable = ratios.get(_FIXED), ratios.get(_LEARNABLE)
    if fixed is None or learnable is None:
        return open_for("the separation was not measured")
    judgement = by_difference(
        [learnable.below(fixed)],
        f"SDR, {recipe}: {fixed.shown('.1f')} dB for the fixed mask, {learnable.shown('.1f')} dB for the learnable one"
        " after adversarial learning",
    )
    return _capped(recipe, judgement)


def _item(place: str, claim: str, judge: Judge) -> Item:
    return Item(PAPER.key, place, "rdal-table2", claim, _DIFFERS, judge, ("urbansound8k",))


ITEMS: tuple[Item, ...] = (
    _item("Table 2, privacy", "RDAL-M with a fixed mask hides speech at no cost in event accuracy.", _privacy),
    _item("Table 2, ablation", "It hides speech better than every part of it alone.", partial(_leaking_more, parts="")),
    _item(
        "Table 2, masking",
        "Source separation alone hides speech less than together with adversarial learning.",
        partial(_leaking_more, parts="masked-"),
    ),
    _item("§3.4, SDR", "A learnable mask gives up separating speech.", _separation),
)
