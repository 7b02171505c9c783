"""CrypTen imports on this torch without leaving traces, and its absence is one line that says what to run."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from sotto.mpc.crypten import torch_shim
from sotto.mpc.errors import CryptenMissing
from tests.error_codes import raises_code

ROOT = Path(__file__).parent.parent.parent.parent

BLOCKED = """
import sys, importlib.abc

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == BLOCKED:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

sys.meta_path.insert(0, Blocker())
from sotto import mpc
from sotto.link import pair
from torch import nn
ours, theirs = pair()
def bob(**how):
    return mpc.Bob(nn.Linear(2, 2), ours, input_shape=(2,), **how)

for make in (lambda **how: mpc.Alice(ours, **how), bob, mpc.Dealer):
    try:
        make(mode="crypten")
    except mpc.CryptenMissing as error:
        print(error)
"""


@pytest.mark.parametrize("name", ["crypten", "omegaconf"])
def test_without_crypten_the_package_imports_and_every_party_says_what_to_run(name):
    code = f"BLOCKED = {name!r}" + BLOCKED
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert f"No module named '{name}'" in line
        assert line.endswith("run pip install 'sotto[mpc]' && pip install --no-deps crypten==0.4.1")


def test_the_old_name_is_taken_back():
    crypten = torch_shim.load_crypten()
    assert crypten.__version__ == "0.4.1"
    assert torch_shim._OLD_NAME not in sys.modules
    assert torch_shim.load_crypten() is crypten


@pytest.fixture
def as_if_new(monkeypatch):
    """As if CrypTen had not been imported in this process."""
    monkeypatch.delitem(sys.modules, "crypten", raising=False)


@pytest.mark.usefixtures("as_if_new")
def test_the_moved_module_is_lent_and_only_for_the_time_of_the_import():
    moved = importlib.import_module(torch_shim._NEW_NAME)
    with torch_shim._old_torch_names():
        assert sys.modules[torch_shim._OLD_NAME] is moved
    assert torch_shim._OLD_NAME not in sys.modules


@pytest.mark.usefixtures("as_if_new")
def test_a_torch_that_still_has_the_old_name_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch_shim, "_OLD_NAME", "torch.onnx.utils")
    before = dict(sys.modules)
    with torch_shim._old_torch_names():
        assert sys.modules == before
    assert sys.modules == before


@pytest.mark.usefixtures("as_if_new")
def test_another_release_is_refused(monkeypatch):
    class Other:
        __version__ = "0.5.0"

    monkeypatch.setitem(sys.modules, "crypten", Other())
    with raises_code(CryptenMissing, "wrong-version", match=r"CrypTen 0\.5\.0 is installed, 0\.4\.1 is needed"):
        torch_shim.load_crypten()
