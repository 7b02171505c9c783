"""Figures come as PNG and SVG, or as what is asked for, and an interrupted one leaves nothing behind."""

from __future__ import annotations

import pytest
from matplotlib.figure import Figure

from sotto.bench.papers.drawing import save


def test_both_kinds_or_one(tmp_path):
    png, svg = save(Figure(), tmp_path / "new" / "a.b")
    assert (png.name, svg.name) == ("a.b.png", "a.b.svg")
    assert png.read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in svg.read_text()[:600]
    assert save(Figure(), tmp_path / "c", "svg") == [tmp_path / "c.svg"]
    assert not (tmp_path / "c.png").exists()


def test_a_figure_that_cannot_be_drawn_leaves_the_former_file_alone(tmp_path, monkeypatch):
    (path,) = save(Figure(), tmp_path / "a", "svg")
    before = path.read_text()

    def stop(self, target, **_):
        target.write_text("half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Figure, "savefig", stop)
    with pytest.raises(KeyboardInterrupt):
        save(Figure(), tmp_path / "a", "svg")
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]
