from __future__ import annotations

from html.parser import HTMLParser

from bench.claims import PAPERS
from bench.claims.claim import Item, Judgement, Verdict
from bench.claims.review import Reviewed
from bench.plaintext import plaintext_row
from sotto import reproduction_report

HOSTILE = "<script>alert(1)</script>\"' onload=x"


def reviewed(verdict=Verdict.PARTLY):
    row = plaintext_row(
        mode=HOSTILE, model=HOSTILE, corpus=HOSTILE, split="none", seed=0, n_queries=1, parameters={HOSTILE: HOSTILE},
        accuracy=0.5, metrics={HOSTILE: 0.25, "wer": 0.125}, published={"wer": 0.5},
    )  # fmt: skip
    item = Item(next(iter(PAPERS)), HOSTILE, "target", f"{HOSTILE}.", HOSTILE, lambda rows: None)
    return Reviewed(item, [row], HOSTILE, Judgement(verdict, HOSTILE))


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))


def test_nothing_in_a_result_becomes_markup(tmp_path):
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "<b>.svg").write_text("<svg/>")
    text = reproduction_report.write([reviewed()], tmp_path, preset="quick").read_text()
    tags = Tags()
    tags.feed(text)
    assert not [tag for tag, attributes in tags.seen if tag in ("script", "b") or "onload" in attributes]
    assert "&lt;script&gt;" in text


def test_ours_stands_beside_the_published_figure_and_drawings_are_shown(tmp_path):
    (tmp_path / "target").mkdir()
    for name in ("violins.png", "violins.svg", "rates.csv"):
        (tmp_path / "target" / name).write_text("x")
    text = reproduction_report.write([reviewed(Verdict.FAILS)], tmp_path, preset="full").read_text()
    assert "<td>0.125</td><td>0.5</td>" in text
    assert text.count("<img") == 1
    assert "1 does not hold" in text
    assert "sotto reproduce target" in text
