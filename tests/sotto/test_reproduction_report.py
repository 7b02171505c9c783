from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import pytest

from bench.claims import ITEMS, PAPERS
from bench.claims.claim import Item, Judgement, Verdict
from bench.claims.review import Reviewed
from bench.plaintext import plaintext_row
from sotto import reproduction_report

HOSTILE = "<script>alert(1)</script>\"' onload=x"


def reviewed(verdict=Verdict.PARTLY, target="target"):
    row = plaintext_row(
        mode=HOSTILE, model=HOSTILE, corpus=HOSTILE, split="none", seed=0, n_queries=1, parameters={HOSTILE: HOSTILE},
        accuracy=0.5, metrics={HOSTILE: 0.25, "wer": 0.125}, published={"wer": 0.5},
    )  # fmt: skip
    item = Item(next(iter(PAPERS)), HOSTILE, target, f"{HOSTILE}.", HOSTILE, lambda rows: None)
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


def test_a_page_without_rows_of_every_target_says_at_its_head_how_many_are_missing(tmp_path):
    targets = list(dict.fromkeys(item.target for item in ITEMS))
    every = [reviewed(target=target) for target in targets]
    assert "Partial" not in reproduction_report.write(every, tmp_path, preset="quick").read_text()
    failed = dataclasses.replace(every[1], rows=())
    text = reproduction_report.write([every[0], failed], tmp_path, preset="quick").read_text()
    head, rest = text.split("<main>")
    assert f"1 of {len(targets)} reproductions have rows, {len(targets) - 1} have none" in head
    for target in targets[1:]:
        assert f"<code>sotto reproduce {target}</code>" in head
    assert f"<code>sotto reproduce {targets[0]}</code>" not in head
    assert "Partial" not in rest
    one = reproduction_report.write([*every[:-1]], tmp_path, preset="quick").read_text()
    assert "1 has none" in one


@pytest.mark.parametrize(
    ("place", "link"), [("reproduction/report.html", "report.html"), ("report.html", "../report.html")]
)
def test_the_report_is_linked_where_it_is(tmp_path, place, link):
    folder = tmp_path / "reproduction"
    folder.mkdir()
    assert "report.html" not in reproduction_report.write([reviewed()], folder, preset="quick").read_text()
    (tmp_path / place).write_text("")
    assert f'href="{link}"' in reproduction_report.write([reviewed()], folder, preset="quick").read_text()


def test_a_report_above_a_folder_of_another_name_is_not_its_own(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "report.html").write_text("")
    assert (
        "report.html" not in reproduction_report.write([reviewed()], tmp_path / "elsewhere", preset="quick").read_text()
    )
