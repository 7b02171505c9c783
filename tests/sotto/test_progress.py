"""What a comparison says while it runs."""

from __future__ import annotations

import msgspec
import pytest

from sotto import progress
from sotto.bench.rows.row import Row, Timing, Traffic
from sotto.progress import Rows


def _row(paradigm):
    return Row(
        paradigm=paradigm, mode="m", model="x", seed=0, n_queries=8, accuracy_private=0.5, parameters={"net": "lan"},
        online_ms=Timing(2.0, 3.0), bytes=Traffic(1_000_000, 500_000, None),
    )  # fmt: skip


def test_every_row_is_a_line_and_those_without_privacy_are_not_counted(capsys):
    with Rows([1.0] * 2) as rows:
        rows.add(_row("plaintext"))
        rows.add(_row("mpc"))
        rows.add(None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert "0 of 2" in lines[0]
    assert "mpc/m x lan: 50.0 % of 8 clips, online 2.00 ms, 1.5 MB; 1 of 2" in lines[1]


def test_what_attackers_reached_is_a_line_that_counts_no_row(capsys):
    with Rows([1.0] * 2) as rows:
        rows.add(_row("keyed"))
        rows.attacked(msgspec.structs.replace(_row("keyed"), metrics={"attack_key_exact": 1.0}))
        rows.add(_row("mpc"))
    lines = capsys.readouterr().err.splitlines()
    assert "attackers reached key exact 1" in lines[1]
    assert "2 of 2" in lines[2]


@pytest.mark.parametrize("row", [Row(paradigm="he", mode="m", seed=0, n_queries=0)])
def test_a_row_without_figures_is_a_line_too(row, capsys):
    with Rows([1.0]) as rows:
        rows.add(row)
    assert "not timed" in capsys.readouterr().err


def test_the_time_left_weighs_the_rows_to_come_by_those_that_are_done(capsys, monkeypatch):
    clock = iter([0.0, 50.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with Rows([3.0, 1.0, 1.0] + 7 * [1.0]) as rows:
        for _ in range(3):
            rows.add(_row("mpc"))
    lines = capsys.readouterr().err.splitlines()
    assert "left" not in lines[1]
    assert "3 of 10, about 70 s left" in lines[2]
