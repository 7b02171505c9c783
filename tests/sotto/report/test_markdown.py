"""Rows as Markdown: every line has the headings' columns, a figure that is not there is a dash."""

from __future__ import annotations

import msgspec
from typer.testing import CliRunner

from sotto.bench.rows import results
from sotto.cli import app
from sotto.report.markdown import table
from tests.sotto.report.test_report import ROW


def test_every_line_has_a_cell_for_each_heading_whatever_a_row_says():
    security = msgspec.structs.replace(ROW.security, broken="a | b")
    rows = [ROW, msgspec.structs.replace(ROW, mode="a | b", online_ms=None, rounds=None, security=security)]
    lines = table(rows).splitlines()
    assert len(lines) == 2 + len(rows)
    assert len({line.count(" | ") for line in lines}) == 1
    assert "| – |" in lines[3]
    assert f"`{ROW.model}`" in lines[2]


def test_the_command_writes_it_beside_the_page(tmp_path):
    results.write([ROW], tmp_path)
    done = CliRunner().invoke(
        app, ["report", str(tmp_path), "--out", str(tmp_path / "page.html"), "--markdown", str(tmp_path / "rows.md")]
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "rows.md").read_text() == table(results.read(tmp_path / "results.json"))
