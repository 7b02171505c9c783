"""What is installed is sotto and nothing else, under the folders' import names."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

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
        "import audio, models, link, sotto.audio, sotto.link, sotto.mpc.errors\n"
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


@pytest.mark.parametrize(
    "command", [["-m", "sotto", "--version"], ["-c", "import sotto; print('sotto', sotto.__version__)"]]
)
def test_the_version_can_be_asked_for(command):
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=60)
    name, number = done.stdout.split()
    assert name == "sotto", done.stderr
    assert number[0].isdigit()
