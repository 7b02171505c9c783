"""The comparison as a whole: what is left out, what fails alone, and that every attack on the list exists."""

from __future__ import annotations

import pytest

from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.suite import attackable, cells, weights
from sotto.serving import registry
from tests.scripts import Script


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_paradigm_has_cells_and_none_twice(preset):
    found = [str(cell) for cell in cells(registry.names(), preset)]
    assert len(set(found)) == len(found)
    assert {name.split("/")[0] for name in found} == set(registry.names())


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_who_is_asked_about_samples_alone_and_why_nobody_else_is(preset):
    found = cells(registry.names(), preset, "circuit")
    assert len(set(map(str, found))) == len(found)
    for name in registry.names():
        declared = registry.paradigm(name)
        own = {cell.model for cell in found if cell.paradigm == name}
        assert own <= set(declared.networks)
        assert bool(own) != bool(declared.no_samples)
        assert declared.lowers or declared.no_samples or declared.on_samples
    assert {cell.parameters.get("features_at") for cell in found if cell.model == "frames"} == {"circuit"}


def test_the_first_row_of_a_model_is_taken_to_be_slow_where_it_waits_for_training():
    found = cells(["mpc", "he"], "quick")
    slow = {cell.model for cell, weight in zip(found, weights(found), strict=True) if weight > weights(found)[-1]}
    assert slow == {cell.model for cell in found if cell.paradigm == "mpc"}
    assert len(set(weights([cell for cell in found if cell.paradigm == "he"]))) == 1


def test_every_attack_on_the_list_belongs_to_its_paradigm():
    for name, attack in attackable().items():
        assert name.startswith(f"{attack.paradigm}-")
        assert attack.cells("quick")
        assert attack.description


def test_an_unknown_paradigm_is_no_module():
    with pytest.raises(KeyError):
        EXPERIMENTS["os"]


WITHOUT_CRYPTEN = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
from importlib import metadata
known = metadata.version
def version(name):
    if name == "crypten":
        raise metadata.PackageNotFoundError(name)
    return known(name)
metadata.version = version
from sotto.bench.adapters import EXPERIMENTS
from sotto.bench.suite import require, usable
print(usable(["mpc", "he", "hashing", "keyed"], print))
require(["mpc"])
print({cell.mode for cell in EXPERIMENTS["mpc"].cells("quick")})
"""


def test_without_crypten_only_its_own_mode_is_left_out_and_says_what_to_run(tmp_path):
    (tmp_path / "script.py").write_text(WITHOUT_CRYPTEN)
    said, _ = Script(tmp_path / "script.py").communicate(timeout=120)
    first, remark, modes = said.splitlines()
    assert first == "['mpc', 'he', 'hashing', 'keyed']"
    assert remark.startswith("mpc/crypten is left out")
    assert "pip install --no-deps crypten==0.4.1" in remark
    assert "crypten" not in modes
    assert "malicious" in modes
