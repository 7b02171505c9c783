"""What is installed is sotto and nothing else, under the folders' import names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

ROOT = Path(__file__).parent.parent
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]


def _folders():
    tops = [path.parent for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"]
    for top in tops:
        for path in top.rglob("__init__.py"):
            name = ".".join(path.parent.relative_to(ROOT).parts)
            yield name if top.name == "sotto" else f"sotto.{name}"


def test_every_folder_is_installed_under_its_import_name():
    assert SETUPTOOLS["packages"] == sorted(_folders())
    assert SETUPTOOLS["package-dir"] == {
        "sotto": "sotto",
        **{
            f"sotto.{path.parent.name}": path.parent.name
            for path in ROOT.glob("*/__init__.py")
            if "sotto" not in path.parts
        },
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in tracked.decode().split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = "from setuptools import build_meta; import sys; print(build_meta.build_wheel(sys.argv[1]))"
    pytest.importorskip("setuptools", minversion="77")
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=source, capture_output=True, check=True)
    return next(folder.glob("*.whl"))


def test_a_wheel_holds_sotto_alone_and_works_beside_folders_of_the_same_names(wheel, tmp_path):
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
        assert tops == {"sotto", next(top for top in tops if top.endswith(".dist-info"))}
        archive.extractall(tmp_path / "site")
    script = tmp_path / "project"
    for name in ("audio", "models", "link", "bench", "serving", "mpc", "he"):
        (script / name).mkdir(parents=True)
        (script / name / "__init__.py").write_text("mine = True\n")
    (script / "run.py").write_text(
        "import sys; sys.path.insert(1, sys.argv[1])\n"
        "import audio, models, link, sotto.audio, sotto.link, sotto.mpc\n"
        "assert sotto.mpc.PlanError.__module__ == 'sotto.mpc.errors'\n"
        "assert audio.mine and models.mine and link.mine\n"
        "assert sotto.audio.__file__.startswith(sys.argv[1]), sotto.audio.__file__\n"
    )
    # -I would hide the libraries too; -S and the finder of an editable install must not serve the test.
    hidden = "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    (script / "run.py").write_text(hidden + (script / "run.py").read_text())
    done = subprocess.run(
        [sys.executable, str(script / "run.py"), str(tmp_path / "site")], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def _environment(python, folder):
    """A new virtual environment of an interpreter; skips where that interpreter is not at hand."""
    found = shutil.which(python)
    if not found or subprocess.run([found, "--version"], capture_output=True).returncode:
        pytest.skip(f"no {python} here")
    subprocess.run([found, "-m", "venv", folder], check=True, capture_output=True, timeout=300)
    return folder / "bin"


def _installed(binaries, *what):
    arguments = [
        binaries / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--constraint",
        ROOT / "constraints.txt",
        *what,
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=1500)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_python_takes_the_wheel_and_shows_its_help_from_any_folder(wheel, tmp_path, version):
    """Without the libraries, of which a platform may lack one: help needs none of them."""
    binaries = _environment(f"python{version}", tmp_path / "environment")
    _installed(binaries, "--no-deps", wheel)
    _installed(binaries, "typer", "rich", "lazy-loader")
    for command in ([], ["bench"], ["simulate"], ["keys", "sign"], ["alice"]):
        done = subprocess.run(
            [binaries / "sotto", *command, "--help"], capture_output=True, text=True, cwd=tmp_path, timeout=60
        )
        assert done.returncode == 0, done.stderr
        assert "Usage: sotto" in done.stdout


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_a_clean_environment_with_the_wheel_answers_a_clip_from_any_folder(wheel, tmp_path):
    binaries = _environment(sys.executable, tmp_path / "environment")
    _installed(binaries, "torch")
    _installed(binaries, wheel)
    rows = ["path,speaker,emotion"]
    for speaker in range(8):
        for emotion, pitch in (("calm", 120), ("angry", 240)):
            for take in range(4):
                time = np.arange(12800) / 16000
                voice = sum(np.sin(2 * np.pi * k * (pitch + speaker + take) * time) / k for k in range(1, 12))
                soundfile.write(tmp_path / f"{speaker}-{emotion}-{take}.wav", 0.1 * voice, 16000)
                rows.append(f"{speaker}-{emotion}-{take}.wav,s{speaker},{emotion}")
    (tmp_path / "m.csv").write_text("\n".join(rows))
    done = subprocess.run(
        [binaries / "sotto", "simulate", "hashing", "0-calm-0.wav", "--corpus", "m.csv", "--json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "SOTTO_CACHE": str(tmp_path / "cache")},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answer"] in ("calm", "angry")


@pytest.mark.parametrize(
    "command", [["-m", "sotto", "--version"], ["-c", "import sotto; print('sotto', sotto.__version__)"]]
)
def test_the_version_can_be_asked_for(command):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    name, number = done.stdout.split()
    assert name == "sotto", done.stderr
    assert number[0].isdigit()
