from __future__ import annotations

import sys

import pytest

from sotto.bench.sweeps.source import source_digest


@pytest.fixture
def package(tmp_path, monkeypatch):
    folder = tmp_path / "swept_package"
    (folder / "inner").mkdir(parents=True)
    for name in ("__init__.py", "inner/__init__.py", "inner/a.py"):
        (folder / name).write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield folder
    sys.modules.pop("swept_package", None)


def test_it_changes_with_any_file_of_a_package(package):
    source_digest.cache_clear()
    before = source_digest(("swept_package",))
    (package / "inner" / "a.py").write_text("x = 2\n")
    source_digest.cache_clear()
    after = source_digest(("swept_package",))
    assert before != after
    assert after != source_digest(())
    source_digest.cache_clear()
    assert source_digest(("swept_package",)) == after
