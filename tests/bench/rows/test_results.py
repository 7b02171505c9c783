"""Result files: schema, CSV, whole or not at all, and no NaN."""

from __future__ import annotations

import csv
import io
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from sotto.bench.rows import results
from sotto.bench.rows.missing_values import by_whom, missing_values, null_fields, why
from sotto.bench.rows.row import Cost, Interval, Row, Security, Spent, Timing, Traffic, json_schema
from sotto.bench.rows.table import attacks, footnotes, setting, tables
from sotto.serving import registry
from tests.error_codes import raises_code

ROW = Row(
    paradigm="mpc",
    mode="crypten",
    model="depinto",
    corpus="synthetic",
    split="speakers-seed0",
    seed=0,
    n_queries=10,
    parameters={"net": "loopback", "batch": 4},
    accuracy_plain=0.5,
    accuracy_private=0.5,
    agreement=1.0,
    max_abs_error=1e-4,
    metrics={"attack_wrong_accepted": 1.0, "attack_unknown": None, "offline_bytes": 10.0},
    published={"ms": 300.0},
    offline_ms=Timing(3.0, 4.0),
    online_ms=Timing(30.0, 40.0),
    per_query_ms_batched=12.0,
    bytes=Traffic(1000, 2000, None),
    rounds=12,
    key_bytes=None,
    peak_rss_mb=100.0,
    accuracy_interval=Interval(0.24, 0.76),
    accuracy_loss=0.0,
    total=Spent(33.0, 4000, {"alice": 0.01, "bob": 0.01, "dealer": 0.01}),
    session=Spent(3.0, 100),
    energy_joules=0.5,
    cost=Cost(1.0, 2.5, "made up"),
    security=Security("semi-honest", "a dealer", None, None, "shapes"),
    software={"python": "3.11"},
    machine={"cores": 2},
)


def test_the_stored_schema_is_that_of_the_classes():
    assert results.stored_schema() == json.loads(json.dumps(json_schema()))


def test_rows_survive_the_file(tmp_path):
    written, _ = results.write([ROW, ROW], tmp_path)
    assert results.read(written) == [ROW, ROW]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "results.json"]


def test_a_row_says_with_what_it_was_measured_and_names_nothing_else():
    plain = msgspec.to_builtins(Row(paradigm="plaintext", mode="m", seed=1, n_queries=2))
    assert plain.pop("software")["python"]
    assert plain.pop("machine")["cores"] >= 1
    assert {value for name, value in plain.items() if name in ("model", "corpus", "split")} == {"none"}
    assert {str(value) for value in plain.values()} == {"plaintext", "m", "none", "1", "2", "{}", "None"}


@given(st.sampled_from(Row.__struct_fields__))
def test_a_missing_field_is_refused(name):
    plain = msgspec.to_builtins(ROW)
    del plain[name]
    with pytest.raises(results.ResultsError):
        results._check([plain], "the rows")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_figure_is_nan_or_infinite(value, tmp_path):
    broken = msgspec.structs.replace(ROW, accuracy_plain=value)
    with raises_code(results.ResultsError, "not-finite"):
        results.write([broken], tmp_path)
    assert not list(tmp_path.iterdir())


def test_reading_something_else_is_one_clear_line(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('[{"paradigm": "mpc"}]')
    with raises_code(results.ResultsError, "bad-schema"):
        results.read(path)
    path.write_text("[")
    with raises_code(results.ResultsError, "not-results"):
        results.read(path)


def test_rows_of_an_earlier_version_are_told_from_damaged_ones(tmp_path):
    written, _ = results.write([ROW], tmp_path)
    rows = json.loads(written.read_text())
    del rows[0]["features_at"]
    written.write_text(json.dumps(rows))
    with raises_code(results.ResultsError, "older-results") as caught:
        results.read(written)
    assert "features_at" in str(caught.value)

    rows[0]["seed"] = "one"
    written.write_text(json.dumps(rows))
    with raises_code(results.ResultsError, "bad-schema"):
        results.read(written)


def test_the_csv_has_one_line_a_row_and_nested_columns():
    lines = list(csv.DictReader(io.StringIO(results.to_csv([ROW, ROW]))))
    assert len(lines) == 2
    assert lines[0]["bytes.alice"] == "1000"
    assert lines[0]["bytes.dealer"] == ""
    assert lines[0]["online_ms.median"] == "30.0"


def test_the_csv_says_of_which_clips_an_accuracy_is():
    row = msgspec.structs.replace(
        ROW, accuracy_plain=0.5, accuracy_private=0.25, metrics={"accuracy_plain_on_asked": 0.75}
    )
    (line,) = csv.DictReader(io.StringIO(results.to_csv([row])))
    assert {name: value for name, value in line.items() if name.startswith("accuracy_p")} == {
        "accuracy_plain.all_test_clips": "0.5",
        "accuracy_plain.asked_clips": "0.75",
        "accuracy_private.asked_clips": "0.25",
    }
    assert "metrics.accuracy_plain_on_asked" not in line


def test_the_blanks_of_a_table_take_one_line_for_each_mode():
    bare = msgspec.structs.replace(ROW, key_bytes=None, rounds=None)
    assert by_whom([bare, bare], ["key_bytes"]) == by_whom([bare], ["key_bytes"])
    assert not by_whom([bare], [])
    lines = by_whom([bare], ["key_bytes", "rounds"])
    assert sum("rounds (" in line for line in lines) == 1
    assert len(lines) == len({line.partition(":")[0] for line in lines})


def test_a_table_of_any_columns_is_written_whole(tmp_path):
    results.write_csv(tmp_path / "new" / "t.csv", ["a", "b"], ((n, None if n else "x, y") for n in range(2)))
    assert (tmp_path / "new" / "t.csv").read_text() == 'a,b\n0,"x, y"\n1,\n'


def test_a_failed_write_leaves_the_former_file(tmp_path):
    path = tmp_path / "results.json"
    results.write_whole(path, "former")
    with pytest.raises(UnicodeEncodeError):
        results.write_whole(path, "\ud800")
    assert path.read_text() == "former"
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_every_null_is_explained():
    assert null_fields(ROW) == [
        "key_bytes", "bytes.dealer", "security.computational_bits", "security.statistical_bits",
    ]  # fmt: skip
    assert why(ROW, "key_bytes") is not None
    line = "mpc/crypten key_bytes: correlated randomness is dealt inside the query: see bytes.dealer"
    assert line in missing_values([ROW])


def test_a_corpus_notice_stands_first_under_the_table():
    assert footnotes([ROW], "synthetic speech")[0] == "synthetic speech"
    assert "synthetic speech" not in footnotes([ROW], None)


def test_what_a_slower_link_changes_is_told_of_rows_that_have_one():
    line = f"mpc: {registry.paradigm('mpc').on_links}"
    assert line not in footnotes([ROW], None)
    plain = msgspec.structs.replace(ROW, paradigm="plaintext")  # which is no paradigm of the registry
    assert line in footnotes([msgspec.structs.replace(row, parameters={"net": "wan"}) for row in (plain, ROW)], None)


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with raises_code(results.ResultsError, "cannot-write"):
        results.require_writable(tmp_path / "file")
    results.require_writable(tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_the_table_shows_attacks_and_settings():
    assert attacks(ROW) == ["wrong accepted 1"]
    assert setting(ROW) == "depinto batch=4"
    assert [table.row_count for table in tables([ROW], "t")] == [1, 1, 1, 1]


def test_a_row_on_samples_says_so_in_its_setting():
    assert setting(ROW).endswith("batch=4")
    for place in ("circuit", "bob"):
        assert setting(msgspec.structs.replace(ROW, features_at=place)).endswith(f"batch=4 features_at={place}")
    given = msgspec.structs.replace(ROW, features_at="circuit", parameters={"features_at": "circuit"})
    assert setting(given) == "depinto features_at=circuit"


def test_the_tables_show_the_price_beside_the_plaintext_and_the_notes_why_a_cell_is_empty():
    plain = msgspec.structs.replace(ROW, paradigm="plaintext", mode="open", total=Spent(1.1, 400), cost=None)
    console = Console(file=io.StringIO(), width=120)
    console.print(tables([ROW, plain], "t")[0])
    lines = console.file.getvalue().splitlines()
    first, second = (next(n for n, line in enumerate(lines) if name in line) for name in ("plaintext/", "mpc/crypten"))
    assert first < second
    assert "1.10 ms" in lines[first]
    assert "30 x" in lines[second]
    assert "10 x" in lines[second]
    assert "3.5" in lines[second]
    notes = footnotes([ROW, plain], None)
    assert f"keyed without depinto: {registry.paradigm('keyed').no_others}" in notes
    assert "prices: made up" in notes


def test_a_row_that_was_asked_too_little_says_so_where_its_accuracy_would_stand():
    few = msgspec.structs.replace(
        ROW, accuracy_private=None, accuracy_loss=None, accuracy_interval=None, metrics={"table_clips": 64.0}
    )
    (line,) = (line for line in missing_values([few]) if "accuracy" in line)
    assert "asked about 10 of the 64 clips" in line
    assert why(few, "accuracy_loss") == why(few, "accuracy_private")
