from __future__ import annotations

import msgspec
import pytest

from sotto.bench.rows.row import Row
from sotto.bench.sweeps.store import Store

ADDRESS, OTHER = "ab" * 16, "abcd" * 8


@pytest.fixture
def row():
    return Row(
        paradigm="plaintext", mode="sweep", model="svm", corpus="made up", seed=0, n_queries=3, parameters={"k": 2},
        accuracy_plain=0.5, metrics={"leakage": 0.25},
    )  # fmt: skip


def test_what_was_saved_is_loaded(tmp_path, row):
    store = Store(tmp_path)
    assert store.load(ADDRESS) is None
    store.save(ADDRESS, row, 1.5)
    assert store.load(ADDRESS) == (row, 1.5)
    assert [path.name for path in store.path(ADDRESS).parent.iterdir()] == [f"{ADDRESS}.json"]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff\xfe", b'{"address": 1}', b"{}" + b" " * (1 << 20), b"null", b"[" * 100_000]
)
def test_a_damaged_result_is_thrown_away(tmp_path, row, content):
    store = Store(tmp_path)
    store.save(ADDRESS, row, 1.0)
    store.path(ADDRESS).write_bytes(content)
    assert store.load(ADDRESS) is None
    assert not store.path(ADDRESS).exists()


def test_a_result_under_anothers_name_is_thrown_away(tmp_path, row):
    store = Store(tmp_path)
    store.save(ADDRESS, row, 1.0)
    store.path(ADDRESS).rename(store.path(OTHER))
    assert store.load(OTHER) is None


def test_rows_are_checked(tmp_path, row):
    store = Store(tmp_path)
    store.save(ADDRESS, row, 1.0)
    plain = msgspec.json.decode(store.path(ADDRESS).read_bytes())
    plain["row"]["n_queries"] = "many"
    store.path(ADDRESS).write_bytes(msgspec.json.encode(plain))
    assert store.load(ADDRESS) is None
