"""The report page: every row is on it, nothing on it comes from elsewhere, and data cannot become markup."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from importlib import resources

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from sotto import report
from sotto.bench.rows import results
from sotto.bench.rows.row import Cost, Row, Security, Spent, Timing, Traffic
from sotto.report import charting, scene
from sotto.report.attack_words import best, sentences
from sotto.report.figures import COLUMNS, FEW, byte_words, identity, records, time_words
from sotto.report.page import asset
from sotto.report.papers import reproductions, verdicts
from sotto.report.pictures import bytes_png, matrix_png, outline, wav
from sotto.report.scene import Line, Panel, Scene, Shown
from sotto.report.summary import summary
from sotto.serving import registry

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
    metrics={"attack_extraction_fidelity": 0.9, "accuracy_wrong_key": 0.25},
    published={"online_ms": 300.0},
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
HOSTILE = '"><script>document.title="taken"</script><img src=x onerror="document.title=1">\'{{7*7}}</script>'
SOUND = np.sin(np.arange(8000) / 9)


def scene_of(words="clip"):
    shown = Shown(words, words, matrix_png(np.eye(16)), wav(SOUND, 16000), outline(SOUND))
    panels = [
        Panel(
            paradigm=paradigm, mode=words, model="mlp", clip="x", answer=words,
            plain_answer=words, leaks=words, exposed=(0, 12),
            alice=[Shown(words, words)], bob=[shown, Shown("bytes", words, bytes_png(bytes(range(256))))],
            messages=[Line("received", "alice", words, 1, 1000)], attacker=[shown],
        )
        for paradigm in ("he", "keyed")
    ]  # fmt: skip
    return Scene(corpus=words, clip=words, truth=words, alice=[shown], panels=panels)


def hostile_row():
    """A row every text of which tries to become markup, as a crafted results.json might."""
    plain = msgspec.to_builtins(ROW)
    for name in ("paradigm", "mode", "model", "corpus", "split"):
        plain[name] = HOSTILE
    plain["parameters"] = {HOSTILE: HOSTILE, "net": HOSTILE, "peer": HOSTILE}
    plain["metrics"] = {f"attack_{HOSTILE}": 1.0, HOSTILE: 2.0}
    plain["published"] = {HOSTILE: 1.0}
    plain["security"] |= {"adversary": HOSTILE, "trusted": HOSTILE, "leaks": HOSTILE}
    plain["software"] = plain["machine"] = {"processor": HOSTILE, HOSTILE: HOSTILE}
    return msgspec.convert(plain, Row)


class _Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data.strip())


def test_the_figures_of_a_row_are_on_the_page():
    text = " ".join(_Page(report.render([ROW, msgspec.structs.replace(ROW, paradigm="keyed")], None)).text)
    for figure in ("75.0 %", "50.0 %", "80.0 %", "1.5e-02", "2,000 ms", "500 kB", "80 MB", "900 MB",
                   "extraction fidelity 0.9", "semi-honest Bob", "keyed", "wrong key"):  # fmt: skip
        assert figure in text


def test_the_page_needs_nothing_from_elsewhere():
    page = report.render([ROW], None, scene=scene_of())
    for tag, attributes in _Page(page).tags:
        assert attributes.get("src", "data:").startswith("data:"), tag
        assert attributes.get("href", "#").startswith("#"), tag
        assert "style" not in attributes, tag
    assert not re.search(r"@import|url\((?!#)", page)  # url(#…) is another part of the same drawing


def test_the_policy_lets_only_embedded_scripts_and_styles_act():
    page = report.render([ROW], None)
    policy = next(tag["content"] for name, tag in _Page(page).tags if "content-security" in str(tag).lower())
    rules = {name: values for name, *values in (rule.split() for rule in policy.split(";"))}
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert rules["default-src"] == ["'none'"]
    assert rules["script-src"] == [_source(text) for text in scripts]
    assert rules["style-src"] == [_source(text) for text in (style, *charting.STYLES)]
    assert len(scripts) == len(charting.LIBRARIES) + 1
    assert "unsafe" not in policy


def _source(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_embedded_libraries_are_the_published_files_and_their_licences_are_on_the_page():
    folder = resources.files("sotto") / "templates" / "vendor"
    noted = dict(re.findall(r"^\| `([^`]+)` .*`([0-9a-f]{64})` \|$", (folder / "README.md").read_text(), re.MULTILINE))
    assert sorted(noted) == sorted(name.removeprefix("vendor/") for name in charting.LIBRARIES)
    for name, expected in noted.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected, name
    text = " ".join(_Page(report.render([ROW], None)).text)
    for name in charting.LICENCES:
        assert "Permission to use, copy, modify" in asset(name)
        assert asset(name).strip() in text


def test_data_cannot_become_markup():
    page = report.render([hostile_row(), ROW], HOSTILE, scene=scene_of(HOSTILE))
    tags = [tag for tag, _ in _Page(page).tags]
    assert tags.count("script") == 2 + len(charting.LIBRARIES)  # the data and our own
    assert "49" not in re.findall(r"<title>.*?</title>", page)[0]
    assert not [tag for tag in _Page(page).tags if tag[0] == "img" and not tag[1]["src"].startswith("data:image/png")]
    assert "<b>processor</b>" not in page
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(block)["rows"][-1]["mode"] == HOSTILE


def test_a_corpus_notice_is_on_the_page(tmp_path):
    page = report.write([ROW], tmp_path / "report.html", "synthetic speech").read_text(encoding="utf-8")
    assert "synthetic speech" in page


def attacked(security=None, **metrics):
    return msgspec.structs.replace(
        ROW,
        security=Security(security or "semi-honest Bob", "nobody", None, None, ""),
        metrics={f"attack_{name}": value for name, value in metrics.items()},
    )


def test_the_best_attack_needs_no_more_than_the_adversary_has_and_reaches_furthest():
    stolen = attacked(known_key_recovered=1.0, known_pairs=300.0, known_pairs_recovered=0.5, speaker_named=0.4)
    assert sentences(stolen) == [
        "speaker named from 40 % of queries",
        "a stolen key opens 100 % of clips",
        "300 known pairs of features and hashes open 50 % of clips",
    ]
    further = attacked(speech_auc=0.5, gender_auc=0.1, speaker_named=0.9, speaker_named_chance=0.8)
    assert best(further) == "A woman is told from a man with AUC 0.10 (a guess has 0.5)"
    assert sentences(further)[1] == "speaker named from 90 % of queries (chance 80 %)"
    known = attacked(recovered_correlation=0.4, known_blocks_for_key=1.0, inverter_correlation=0.7)
    assert best(known) == "Speech guessed by a network that never saw the key, correlation 0.70"
    assert sentences(known)[-1] == "the key from 1 block known in the clear"
    copied = attacked(copy_agrees_from_10000_logits=0.8, copy_agrees_from_10000_class=0.9, key_from_raw_decryption=1.0)
    assert best(copied) == "A copy of Bob's model from 10,000 classes agrees on 90 %"
    assert sentences(copied)[-1] == "Alice's secret key, if it gave out raw decryptions"


def test_cheating_counts_for_more_where_the_row_protects_against_it():
    reached = {"wrong_class_accepted": 0.25, "features_read": 1.0, "minutes_for_all_seeds": 9.7}
    read = "Bob reads Alice's features by trying seeds; all are tried in 9.7 minutes"
    accepted = "a cheating Bob's wrong class is accepted in 25 % of altered queries"
    assert sentences(attacked(**reached)) == [read, accepted]
    reached["features_read"] = 0.0
    assert best(attacked("malicious Bob", **reached)).lower() == accepted.lower()
    assert best(attacked(**reached)) == "Bob's search of seeds found nothing"


def test_an_attack_that_failed_does_not_sound_like_one_that_worked():
    none = attacked("malicious Alice or Bob", wrong_class_accepted=0.0, refused=1.0)
    assert best(none) == "None of the altered queries was accepted"
    counted = msgspec.structs.replace(none, metrics=none.metrics | {"cheats_tried": 1234.0})
    assert best(counted) == "None of 1,234 altered queries was accepted"
    failed = attacked(
        key_from_raw_decryption=0.0, known_pairs_recovered=0.0, known_key_recovered=0.0, key_from_class=0.0
    )
    assert sentences(failed) == [
        "the classes that Alice tells do not give the secret key away",
        "raw decryptions did not give Alice's secret key away",
        "known pairs of features and hashes open no clip",
        "a stolen key opens no clip",
    ]


def test_attacks_are_told_with_what_belongs_to_them_and_unknown_ones_as_they_are():
    assert best(attacked(speaker_named=0.65, speaker_named_chance=0.17)) == (
        "Speaker named from 65 % of queries (chance 17 %)"
    )
    assert (
        best(attacked(chosen_key_exact=1.0, chosen_blocks=1.0))
        == "The key from 1 block that the attacker had encrypted"
    )
    assert best(attacked(chosen_key_exact=0.0)) == "Blocks that the attacker had encrypted did not give the key away"
    assert sentences(attacked(inverter_correlation=0.846, inverter_key_exact=0.0)) == [
        "speech guessed by a network that never saw the key, correlation 0.85, the exact key not found"
    ]
    assert best(ROW) == "extraction fidelity 0.9"
    assert best(msgspec.structs.replace(ROW, metrics={})) is None


def test_a_share_of_few_clips_says_of_how_many():
    cells, many = (records([msgspec.structs.replace(ROW, n_queries=count)])[0] for count in (FEW - 1, FEW))
    assert cells["few"] is True
    assert many["few"] is False
    assert cells["cells"]["private"][1] == "50.0 % of 49"
    assert cells["cells"]["agreement"][1] == "80.0 % of 49"
    assert many["cells"]["private"][1] == "50.0 %"
    assert "Faded: fewer than 50 clips" in report.render([ROW], None)
    assert "Faded" not in report.render([msgspec.structs.replace(ROW, n_queries=FEW)], None)


def test_the_reason_of_every_blank_is_known_to_the_page():
    bare = msgspec.structs.replace(
        ROW, metrics={}, accuracy_plain=None, online_ms=None, bytes=None, security=None, key_bytes=None, mode="packed"
    )
    found = records([bare, ROW])
    for each in found:
        blank = {key for key, (_, words) in each["cells"].items() if "–" in words}
        assert set(each["why"]) == blank
    assert found[0]["why"]["batched"] == "a ciphertext holds one query; mode batched holds thousands"
    assert found[0]["why"]["attack"] == "no attack was run"
    assert found[0]["why"]["alice"] == "not measured in this run"
    assert found[1]["why"]["bits"] == "the security is computational only; answers are not flooded"


def test_what_a_column_means_stands_behind_its_heading():
    heads = {tag.get("title") for name, tag in _Page(report.render([ROW], None)).tags if name == "button"}
    assert {column.meaning for column in COLUMNS if column.key not in ("corpus", "net")} <= heads


def test_the_first_lines_say_for_each_class_what_a_query_costs_and_what_broke():
    sealed = msgspec.structs.replace(ROW.security, hides="yes")
    open_ = msgspec.structs.replace(ROW.security, broken="everybody reads it")
    good = msgspec.structs.replace(ROW, paradigm="he", security=sealed, total=Spent(2000.0, 500), accuracy_loss=0.25)
    slower = msgspec.structs.replace(good, mode="slower", total=Spent(3000.0, 500))
    bad = msgspec.structs.replace(good, paradigm="keyed", security=open_, total=Spent(1.0, 7), accuracy_loss=0.0)
    found = summary([slower, good, bad])
    assert [line[:2] for line in found] == [("yes", "Speech hidden from Bob"), ("no", "Not hidden")]
    assert found[0][2] == [
        f"he ({good.mode}, {good.model}): 2,000 ms and 500 B for a query, 25.0 points of accuracy lost"
    ]
    assert found[1][2][0].endswith("1.00 ms and 7 B for a query, no accuracy lost, everybody reads it")


def test_the_price_of_privacy_stands_on_the_page_for_every_model():
    plain = msgspec.structs.replace(ROW, paradigm="plaintext", mode="open", total=Spent(4.0, 500))
    slow = msgspec.structs.replace(ROW, total=Spent(2000.0, 500_000), accuracy_loss=0.25)
    faster = msgspec.structs.replace(slow, mode="packed", total=Spent(3.0, 400), cost=Cost(1.0, 2.0, "made up"))
    page = report.render([slow, plain, faster], None)
    text = re.sub(r"\s+", " ", " ".join(_Page(page).text))
    for words in ("Without privacy: 4.00 ms, 500 B", "500 x", "1,000 x", "25.0", "Prices: made up", "0.8 x"):
        assert words in text, words
    widths = [tag["width"] for name, tag in _Page(page).tags if name == "rect" and tag["width"] != "1.6"]
    assert widths == ["100", "100", "0", "0"]
    assert registry.paradigm("keyed").no_others in html.unescape(text)
    assert "The price of privacy" not in report.render([slow], None)


def test_rows_of_a_paradigm_stand_together_in_the_order_given():
    mixed = [msgspec.structs.replace(ROW, paradigm=name, model=str(place))
             for place, name in enumerate(("other", "keyed", "mpc", "he", "mpc", "other", "keyed"))]  # fmt: skip
    block = re.search(r'id="data">(.*?)</script>', report.render(mixed, None), re.DOTALL)[1]
    listed = [(row["paradigm"], row["model"]) for row in json.loads(block)["rows"]]
    assert listed == [
        ("mpc", "2"), ("mpc", "4"), ("he", "3"), ("keyed", "1"), ("keyed", "6"), ("other", "0"), ("other", "5"),
    ]  # fmt: skip


def test_units_leave_three_digits():
    assert [byte_words(count) for count in (None, 95, 1167, 626_748, 60_700_000)] == [
        "–", "95 B", "1.17 kB", "627 kB", "60.7 MB",
    ]  # fmt: skip
    assert [time_words(value) for value in (None, 0.15, 12.6, 2401.0, 23_700.0)] == [
        "–", "0.15 ms", "12.6 ms", "2,401 ms", "23.7 s",
    ]  # fmt: skip


def _run(*arguments):
    import typer

    from sotto.commands.report import report as command

    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_several_results_become_one_page_and_later_rows_replace_earlier_ones(tmp_path):
    wan = msgspec.structs.replace(ROW, parameters={"degree": 2, "net": "wan"}, online_ms=Timing(3333.0, 3334.0))
    again = msgspec.structs.replace(ROW, online_ms=Timing(1234.0, 1235.0))
    for name, rows in (("lan", [ROW]), ("wan", [wan]), ("again", [again])):
        results.write(rows, tmp_path / name)
    (tmp_path / "lan" / "scene.json").write_text(scene.to_json(scene_of("a word")))
    done = _run(*(tmp_path / name for name in ("lan", "wan", "again")), "--out", tmp_path / "out" / "all.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "out" / "all.html").read_text(encoding="utf-8")
    assert "3,333 ms" in page
    assert "1,234 ms" in page
    assert "2,000 ms" not in page
    assert "What each party sees" in page
    assert identity(ROW) == identity(again) != identity(wan)


@pytest.mark.parametrize("folder", ["there", "new"])
def test_a_folder_gets_the_page_as_report_html(tmp_path, folder):
    results.write([ROW], tmp_path / "results")
    (tmp_path / "there").mkdir()
    done = _run(tmp_path / "results", "--out", tmp_path / folder)
    assert done.exit_code == 0, done.output
    assert (tmp_path / folder / "report.html").read_text(encoding="utf-8").lstrip().startswith("<!doctype html>")


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff\xfe", b'[{"paradigm": 1}]', b"[" * 100_000])
def test_results_that_are_none_are_one_clear_error(tmp_path, content):
    (tmp_path / "results.json").write_bytes(content)
    done = _run(tmp_path, "--out", tmp_path / "report.html")
    assert done.exit_code == 1
    assert isinstance(done.exception, results.ResultsError)
    assert not (tmp_path / "report.html").exists()


def test_scenes_are_written_read_and_put_together(tmp_path):
    first = scene_of()
    (tmp_path / "scene.json").write_text(scene.to_json(first))
    assert scene.read(tmp_path / "scene.json") == first
    other = msgspec.structs.replace(first, panels=[msgspec.structs.replace(first.panels[0], mode="another")])
    assert len(scene.merged([first, other, first]).panels) == 3
    assert len(scene.merged([first, msgspec.structs.replace(other, clip="another")]).panels) == 2
    assert scene.merged([]) is None


def test_a_crafted_scene_is_refused(tmp_path):
    good = scene.to_json(scene_of())
    crafted = {
        "no json": "{",
        "a field too many": good[:-1] + ',"script":"x"}',
        "svg for a png": good.replace("iVBORw0KGgo", "PHN2ZyBvbmw", 1),
        "html for a sound": good.replace("UklGR", "PGh0b", 1),
        "an outline that leaves its frame": re.sub(r"\[\[-?[\d.e-]+", "[[-9e9", good, count=1),
    }
    for name, text in crafted.items():
        path = tmp_path / "scene.json"
        path.write_text(text)
        assert text != good, name
        with pytest.raises(scene.SceneError):
            scene.read(path)


def test_what_was_reproduced_is_linked_and_the_rest_named(tmp_path):
    (tmp_path / "dias-table2").mkdir()
    (tmp_path / "dias-table2" / "results.json").write_text("[]")
    (tmp_path / "dias-table2" / "a figure.svg").write_text("<svg/>")
    (tmp_path / "dias-table2" / "model.safetensors").write_text("")
    found = {each.target: each for each in reproductions(tmp_path)}
    links = [link for _, link in found["dias-table2"].files]
    assert links == ["dias-table2/a%20figure.svg", "dias-table2/results.json"]
    assert "Dias" in found["dias-table2"].paper
    assert not found["bittner-latency"].files
    page = report.render([ROW], None, reproduced=list(found.values()))
    assert 'href="dias-table2/a%20figure.svg"' in page
    assert "sotto reproduce bittner-latency" in page


def test_the_verdicts_of_all_papers_are_linked_where_they_are(tmp_path):
    known = reproductions(tmp_path)
    assert verdicts(tmp_path) is None
    report.write([ROW], tmp_path / "report.html", None, reproduced=known)
    assert "reproduction.html" not in (tmp_path / "report.html").read_text()
    (tmp_path / "reproduction" / "dias-table2").mkdir(parents=True)
    (tmp_path / "reproduction" / "dias-table2" / "results.json").write_text("[]")
    (tmp_path / "reproduction" / "reproduction.html").write_text("")
    found = reproductions(tmp_path)
    report.write([ROW], tmp_path / "report.html", None, reproduced=found)
    page = (tmp_path / "report.html").read_text()
    assert 'href="reproduction/reproduction.html"' in page
    assert 'href="reproduction/dias-table2/results.json"' in page
