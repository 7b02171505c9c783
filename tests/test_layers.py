"""The floor plan holds: imports point downwards only, and paradigms do not know one another."""

from __future__ import annotations

import ast
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


def _imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found & BELOW.keys()


@pytest.mark.parametrize("package", sorted(BELOW))
def test_a_package_imports_only_what_is_below_it(package):
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        assert _imported(path) - {package} <= BELOW[package], path


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
