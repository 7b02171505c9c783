"""Somebody else's paradigm: the files and the one line of docs/own-paradigm.md, compared, simulated and served."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib

import pytest

from sotto.bench.operations.parties.services import Service
from tests.docs.test_examples import ROOT
from tests.sotto.test_end_to_end import corpus  # noqa: F401  a fixture

PAGE = (ROOT / "docs" / "own-paradigm.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r'^```\w+ title="([^"]+)"\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE))


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """As pip leaves it: the folder, and beside it the entry points of its distribution."""
    site = tmp_path_factory.mktemp("site")
    (site / "toy").mkdir()
    for name, text in BLOCKS.items():
        if name.endswith(".py"):
            (site / name).write_text(text)
    ((group, points),) = tomllib.loads(BLOCKS["pyproject.toml"])["project"]["entry-points"].items()
    described = site / "toy-0.1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 0.1\n")
    lines = [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (described / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return site


@pytest.fixture(scope="module")
def environment(installed, tmp_path_factory):
    cache = tmp_path_factory.mktemp("cache")
    return {**os.environ, "PYTHONPATH": str(installed), "SOTTO_CACHE": str(cache), "COLUMNS": "100"}


@pytest.fixture(scope="module")
def sotto(environment):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "sotto", *map(str, arguments)],
            capture_output=True, text=True, timeout=240, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_it_is_compared_and_every_missing_figure_has_a_reason(corpus, sotto, tmp_path):  # noqa: F811
    (row,) = json.loads(
        sotto("bench", "--corpus", "manifest", "--data", corpus, "--paradigm", "toy", "--json", "--out", tmp_path)
    )
    assert (row["paradigm"], row["mode"], row["model"]) == ("toy", "open", "means")
    assert row["agreement"] == 1.0
    assert row["accuracy_private"] > 0.5  # chance is a third
    assert row["bytes"]["alice"] > 0
    assert row["metrics"]["attack_features_read"] == 1.0
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "toy security.computational_bits: nothing is protected" in page


def test_it_is_simulated(corpus, sotto):  # noqa: F811
    clip = corpus / "3-angry-1.wav"
    shown = json.loads(sotto("simulate", "toy", clip, "--corpus", "manifest", "--data", corpus, "--json"))
    assert shown


def test_it_is_prepared_served_and_asked(corpus, sotto, environment, tmp_path, monkeypatch):  # noqa: F811
    sotto("prepare", "toy", "--corpus", "manifest", "--data", corpus, "--out", tmp_path / "demo")
    for name in ("PYTHONPATH", "SOTTO_CACHE"):
        monkeypatch.setenv(name, environment[name])
    with Service(["bob", str(tmp_path / "demo" / "bob"), "--paradigm", "toy"]) as bob:
        (answer,) = json.loads(
            sotto(
                "alice",
                corpus / "3-angry-1.wav",
                "--paradigm",
                "toy",
                "--connect",
                "{}:{}".format(*bob.address),
                "--own",
                tmp_path / "demo" / "alice",
                "--json",
            )
        )
    assert answer["paradigm"] == "toy"
    assert answer["answer"] in {"angry", "calm", "happy"}
