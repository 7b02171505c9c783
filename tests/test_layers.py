"""The floor plan holds: imports point downwards only, between packages, rooms and files; paradigms know no other."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PARADIGMS = {"mpc", "he", "hashing", "keyed", "adversarial"}
BELOW = {
    "link": set(),
    "audio": {"link"},
    "models": {"audio", "link"},
    **{name: {"models", "audio", "link"} for name in PARADIGMS},
    "serving": {"models", "audio", "link", *PARADIGMS},
    "bench": {"serving", "models", "audio", "link", *PARADIGMS},
    "sotto": {"bench", "serving", "models", "audio", "link", *PARADIGMS},
}
#: Files of a paradigm that say how it is served and measured stand on those floors, not on the paradigm's own.
ADAPTERS = {
    "paradigm.py": {"serving"},
    "service.py": {"serving", "models", "audio", "link"},
    "experiment.py": {"bench", "serving", "models", "audio", "link"},
    "own_model.py": {"bench", "serving", "models", "audio", "link"},
}
FILES = {path for package in BELOW for path in (ROOT / package).rglob("*.py")}


def _name(path: Path) -> str:
    """The import name of a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "sotto" else ("sotto", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


NAMES = {_name(path): path for path in FILES}


def _imports(path: Path) -> set[Path]:
    """The files of ours that a file imports, inside functions too."""
    found: set[Path] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports are absolute"
            module = node.module or ""
            names = [f"{module}.{a.name}" if f"{module}.{a.name}" in NAMES else module for a in node.names]
        else:
            continue
        found |= {NAMES[name] for name in names if name in NAMES}
    return found - {path}


IMPORTS = {path: _imports(path) for path in FILES}


def _package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


def _is_adapter(path: Path) -> bool:
    return path.parent.parent == ROOT and _package(path) in PARADIGMS and path.name in ADAPTERS


def _room(path: Path) -> Path:
    """The folder of a file; a file that stands in a package itself is a room of its own."""
    return path if path.parent.parent == ROOT else path.parent


@pytest.mark.parametrize("package", sorted(BELOW))
def test_a_package_imports_only_what_is_below_it(package):
    files = [path for path in FILES if _package(path) == package]
    assert files
    for path in files:
        own = {NAMES["sotto"]} if package == "sotto" else set()
        below = ADAPTERS[path.name] if _is_adapter(path) else BELOW[package]
        assert {_package(other) for other in IMPORTS[path] - own} - {package} <= below, path


def test_a_declaration_is_read_by_the_registry_alone_and_a_paradigm_never_knows_its_adapters():
    for path, others in IMPORTS.items():
        for other in filter(_is_adapter, others):
            assert other.name != "paradigm.py", path
            assert _package(path) in {"bench", "sotto"} or _is_adapter(path), path
            assert other.name != "service.py" or _package(path) == _package(other), path


def test_no_files_import_one_another_in_a_circle():
    TopologicalSorter(IMPORTS).prepare()  # raises CycleError, which names the circle


def test_no_folders_import_one_another_in_a_circle():
    rooms: dict[Path, set[Path]] = {}
    for path, others in IMPORTS.items():
        rooms.setdefault(_room(path), set()).update(_room(other) for other in others)
    TopologicalSorter({room: others - {room} for room, others in rooms.items()}).prepare()


@pytest.mark.parametrize("package", ["mpc", "he", "hashing", "keyed", "link", "serving"])
def test_no_protocol_draws_from_a_generator_that_is_not_cryptographic(package):
    forbidden = ("torch.rand", "torch.manual_seed", "np.random", "numpy.random", "import random", "from random")
    protocol = [path for path in sorted((ROOT / package).rglob("*.py")) if "attacks" not in path.parts]
    for path in protocol:
        text = path.read_text(encoding="utf-8")
        assert not [word for word in forbidden if word in text], path


def test_nothing_is_ever_unpickled():
    for package in BELOW:
        for path in sorted((ROOT / package).rglob("*.py")):
            names = _calls(path)
            assert not names & {"pickle.load", "pickle.loads", "torch.load", "joblib.load", "eval", "exec"}, path


def _calls(path: Path) -> set[str]:
    calls = [node.func for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    return {ast.unparse(call) for call in calls}
