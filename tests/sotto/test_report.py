"""The report page: every row is on it, nothing on it comes from elsewhere, and data cannot become markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import msgspec

from bench.row import Row, Security, Timing, Traffic
from sotto import report

ROW = Row(
    paradigm="he",
    mode="tenseal",
    model="mlp",
    corpus="ravdess",
    split="speakers-seed0",
    seed=0,
    n_queries=5,
    parameters={"degree": 2, "net": "lan"},
    accuracy_plain=0.75,
    accuracy_private=0.5,
    agreement=0.8,
    max_abs_error=1.5e-2,
    metrics={"attack_extraction_fidelity": 0.9},
    published={},
    offline_ms=Timing(1000.0, 1100.0),
    online_ms=Timing(2000.0, 2100.0),
    per_query_ms_batched=None,
    bytes=Traffic(400_000, 100_000, None),
    rounds=1,
    key_bytes=80_000_000,
    peak_rss_mb=900.0,
    security=Security("semi-honest Bob", "nobody", 128, None, "the class"),
    software={"python": "3.11"},
    machine={"processor": "a <b>processor</b>", "cores": 2},
)


class _Cells(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.text = [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data.strip())


def _read(page):
    cells = _Cells()
    cells.feed(page)
    return cells


def test_the_figures_of_a_row_are_on_the_page():
    text = " ".join(_read(report.render([ROW, msgspec.structs.replace(ROW, paradigm="keyed")], None)).text)
    for figure in (
        "75.0 %",
        "50.0 %",
        "80.0 %",
        "1.5e-02",
        "2,000",
        "extraction fidelity 0.9",
        "semi-honest Bob",
        "keyed",
    ):
        assert figure in text


def test_the_page_needs_nothing_from_elsewhere():
    page = report.render([ROW], None)
    for tag, attributes in _read(page).tags:
        assert not {"src", "data"} & attributes.keys(), tag
        if tag != "a":
            target = attributes.get("href") or attributes.get("xlink:href") or "#"
            assert target.startswith("#"), (tag, target)
    assert not re.search(r"@import|url\((?!#)", page)


def test_data_cannot_become_markup():
    page = report.render([ROW], "<script>alert(1)</script>")
    assert "<b>processor</b>" not in page
    assert "<script>alert(1)" not in page


def test_a_corpus_notice_is_on_the_page(tmp_path):
    page = report.write([ROW], tmp_path, "synthetic speech").read_text(encoding="utf-8")
    assert "synthetic speech" in page
