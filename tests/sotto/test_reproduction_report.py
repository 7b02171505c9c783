from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import msgspec
import pytest

from sotto import reproduction_report
from sotto.bench.claims.claim import Item, Judgement, Verdict
from sotto.bench.reproduction.paper_claims import ITEMS, PAPERS
from sotto.bench.reproduction.review import Reviewed
from sotto.bench.rows.row import Row
from sotto.reproduction_card import card

HOSTILE = "<script>alert(1)</script>\"' onload=x"


def measured(parameters, mode=HOSTILE):
    return Row(
        paradigm="plaintext", mode=mode, model=HOSTILE, corpus=HOSTILE, seed=0, n_queries=1, parameters=parameters,
        accuracy_plain=0.5, metrics={HOSTILE: 0.25, "wer": 0.125}, published={"wer": 0.5},
    )  # fmt: skip


def reviewed(verdict=Verdict.PARTLY, target="target"):
    row = measured({HOSTILE: HOSTILE})
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


def test_the_page_begins_with_every_claim_and_leads_to_its_card(tmp_path):
    text = reproduction_report.write([reviewed(each) for each in Verdict], tmp_path, preset="quick").read_text()
    tags = Tags()
    tags.feed(text)
    anchors = [attributes["id"] for tag, attributes in tags.seen if tag == "article"]
    links = [attributes["href"].removeprefix("#") for tag, attributes in tags.seen if tag == "a"]
    assert len(anchors) == len(Verdict)
    assert [link for link in links if link in anchors] == anchors
    overview, cards = text.split("</table>", 1)
    assert "<article" not in overview
    for verdict in Verdict:
        assert f">{verdict.value}</span></td>" in overview
        assert f">{verdict.value}</span></header>" in cards


def named(rows, **item):
    """The names of the rows on the card of an item."""
    each = reviewed()
    each = dataclasses.replace(each, rows=rows, item=dataclasses.replace(each.item, **item))
    return [group.name for group in card(each, "x", preset="quick", drawings=()).groups]


def test_a_row_is_named_by_what_varies_on_its_card():
    same = {"keys": 3, "layers": [4, 8], "window": None}
    assert named([measured({**same, "block_size": size}) for size in (3, 5)]) == ["block size = 3", "block size = 5"]
    assert named([measured(same, mode) for mode in ("shuffling", "rom")]) == ["shuffling", "rom"]
    assert named([measured(same)]) == [HOSTILE]
    some = [measured({**same, "attack": None}), measured({**same, "attack": "helper"})]
    assert named([msgspec.structs.replace(each, mode=mode) for each, mode in zip(some, "ab", strict=True)]) == [
        "a", "b, attack = helper",
    ]  # fmt: skip
    lists = [measured({"layers": layers, "normalised": len(layers) > 1}) for layers in ([4], [4, 8])]
    assert named(lists) == ["layers = 4, normalised = no", "layers = 4 8, normalised = yes"]


def test_a_claim_on_one_mode_shows_no_row_of_another():
    rows = [measured({"net": net}, mode) for mode in ("semi-honest", "malicious") for net in ("lan", "wan")]
    assert named(rows, mode="malicious") == ["net = lan", "net = wan"]


def test_rows_beyond_the_most_figures_are_counted(tmp_path):
    rows = [measured({"seed": number}) for number in range(205)]
    each = dataclasses.replace(reviewed(), rows=rows)
    shown = card(each, "x", preset="quick", drawings=())
    assert (len(shown.groups), shown.left_out) == (200, 5)
    assert "5 more rows" in reproduction_report.write([each], tmp_path, preset="quick").read_text()


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
