"""The documentation builds without a warning, links and references included."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(600)
def test_the_site_builds_without_a_warning(tmp_path):
    subprocess.run(["make", "--silent", "links"], cwd=ROOT, check=True, timeout=60)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        capture_output=True,
        text=True,
        timeout=500,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr[-4000:]
    page = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "Start in five minutes" in page
    for foreign in ("fonts.googleapis", "unpkg.com", "cdn."):
        assert foreign not in page
