import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from safetensors.numpy import save_file

from sotto.audio import cache
from sotto.audio.cache import ArrayCache, key_of
from sotto.link.storage import partial_path

KEY = key_of({"a": 1})


def test_the_root_is_the_environments_or_the_users(monkeypatch, tmp_path):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    assert cache.root() == tmp_path
    monkeypatch.delenv("SOTTO_CACHE")
    assert cache.root().name == "sotto"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(arrays(np.float32, array_shapes(max_dims=3, max_side=6), elements=st.floats(-9, 9, width=32)))
def test_what_is_stored_comes_back(tmp_path, array):
    store = ArrayCache("features", tmp_path)
    store.store(KEY, array)
    back = store.load(KEY)
    assert back is not None
    assert back.dtype == array.dtype
    assert np.array_equal(back, array)


def test_an_absent_entry_is_none(tmp_path):
    assert ArrayCache("features", tmp_path).load(KEY) is None


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def bit_flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def replaced_by_another_entry(path: Path) -> None:
    other = ArrayCache("features", path.parents[2])
    other.store(key_of({"b": 2}), np.ones(4, np.float32))
    path.write_bytes(other.path(key_of({"b": 2})).read_bytes())


def foreign(path: Path) -> None:
    save_file({"weights": np.ones(4, np.float32)}, path)


def absurd_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 8 + b"{}")


@pytest.mark.parametrize(
    "damage",
    [truncated, emptied, bit_flipped, replaced_by_another_entry, foreign, absurd_header],
    ids=lambda f: f.__name__,
)
def test_a_damaged_or_foreign_entry_is_discarded_with_one_line(tmp_path, caplog, damage):
    store = ArrayCache("features", tmp_path)
    store.store(KEY, np.arange(4, dtype=np.float32))
    damage(store.path(KEY))
    with caplog.at_level(logging.WARNING, "sotto"):
        assert store.load(KEY) is None
    assert [record.message.count("discarded") for record in caplog.records] == [1]
    assert not store.path(KEY).exists()


def test_a_cache_that_cannot_be_written_is_reported_once_and_does_without(tmp_path, caplog):
    (tmp_path / "features").write_text("a file where the folder should be")
    store = ArrayCache("features", tmp_path)
    with caplog.at_level(logging.WARNING, "sotto"):
        for _ in range(3):
            store.store(KEY, np.ones(3, np.float32))
    assert len(caplog.records) == 1
    assert "cannot write" in caplog.text
    assert store.load(KEY) is None


def test_keys_depend_on_every_value_and_not_on_order():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert len({key_of({"a": value}) for value in (1, "1", 1.5, None, [1])}) == 5


def test_only_stale_partials_are_swept(tmp_path):
    store = ArrayCache("features", tmp_path)
    store.store(KEY, np.ones(3, np.float32))
    fresh, stale = (partial_path(store.path(KEY)) for _ in range(2))
    fresh.write_bytes(b"x")
    stale.write_bytes(b"x")
    long_ago = time.time() - 3 * 24 * 3600
    os.utime(stale, (long_ago, long_ago))
    store.sweep()
    assert fresh.exists()
    assert not stale.exists()
    assert store.load(KEY) is not None


WRITER = """
import itertools, sys
import numpy as np
from pathlib import Path
from sotto.audio.cache import ArrayCache, key_of
store = ArrayCache("features", Path(sys.argv[1]))
for i in itertools.count():
    store.store(key_of({"i": i % 50}), np.full(20000, i % 50, np.float32))
"""


def test_a_writer_killed_at_any_moment_leaves_only_whole_entries(tmp_path):
    store = ArrayCache("features", tmp_path)
    for pause in (0.0, 0.02, 0.05):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        try:
            deadline = time.monotonic() + 60
            while not any(store.folder.glob("*/*.safetensors")) and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(pause)
        finally:
            writer.send_signal(signal.SIGKILL)
            writer.wait()
        entries = list(store.folder.glob("*/*.safetensors"))
        assert entries
        for i in range(50):
            found = store.load(key_of({"i": i}))
            assert found is None or (found == i).all()
        assert all(entry.exists() for entry in entries), "an entry was found damaged"
