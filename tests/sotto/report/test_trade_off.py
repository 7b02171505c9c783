"""The drawing of the trade-off: a mark a row in the panel of its class, hollow where an attack breaks it."""

from __future__ import annotations

import msgspec

from sotto.bench.rows.row import Spent
from sotto.report import trade_off
from tests.sotto.report.test_report import ROW


def rows():
    spent = msgspec.structs.replace(ROW, total=Spent(20.0, 1000), accuracy_loss=0.05, parameters={"net": "loopback"})
    hidden = msgspec.structs.replace(spent.security, hides="yes")
    broken = msgspec.structs.replace(spent.security, broken="everybody reads it")
    return [
        msgspec.structs.replace(spent, security=hidden),
        msgspec.structs.replace(spent, paradigm="keyed", security=broken),
        msgspec.structs.replace(spent, total=None),
        msgspec.structs.replace(spent, parameters={"net": "wan"}),
        msgspec.structs.replace(spent, paradigm="adversarial", corpus="sounds of events"),
    ]


def test_every_row_with_both_figures_on_loopback_is_one_mark_of_its_panel(monkeypatch, tmp_path):
    marks = []
    monkeypatch.setattr(trade_off, "_mark", lambda axes, row, colour: marks.append((axes.get_title(), row.paradigm)))
    trade_off.draw(rows(), tmp_path / "plot.svg")
    assert sorted(marks) == [("Not hidden", "keyed"), ("Speech hidden from Bob", ROW.paradigm)]


def test_the_drawing_is_an_svg_without_a_ground_in_two_inks(tmp_path):
    light, dark = (trade_off.draw(rows(), tmp_path / f"{d}.svg", dark=d).read_text() for d in (False, True))
    assert light.startswith("<?xml")
    assert "#1f2328" in light
    assert "#e6edf3" in dark
