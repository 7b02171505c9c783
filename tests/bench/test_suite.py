"""The comparison as a whole: what is left out, what fails alone, and that every attack on the list exists."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.paradigms import NAMES, PARADIGMS
from bench.suite import attackable, cells


@pytest.mark.parametrize("preset", ["quick", "full"])
def test_every_paradigm_has_cells_and_none_twice(preset):
    found = [str(cell) for cell in cells(NAMES, preset)]
    assert len(set(found)) == len(found)
    assert {name.split("/")[0] for name in found} == set(NAMES)


def test_every_attack_on_the_list_belongs_to_its_paradigm():
    for name, attack in attackable().items():
        assert name.startswith(f"{attack.paradigm}-")
        assert attack.cells("quick")
        assert attack.description


def test_an_unknown_paradigm_is_no_module():
    with pytest.raises(KeyError):
        PARADIGMS["os"]


WITHOUT_CRYPTEN = """
import sys
sys.modules["crypten"] = None  # what an import finds when it is not installed
from bench.suite import ParadigmMissing, require, usable
print(usable(["mpc", "he", "hashing", "keyed"], lambda line: print("SAID", line)))
try:
    require(["mpc"])
except ParadigmMissing as error:
    print("RAISED", error)
"""


def test_without_crypten_every_other_paradigm_is_there_and_mpc_says_what_to_run():
    done = subprocess.run([sys.executable, "-c", WITHOUT_CRYPTEN], capture_output=True, text=True, timeout=120)
    lines = done.stdout.splitlines()
    assert lines[1] == "['he', 'hashing', 'keyed']"
    for line, start in ((lines[0], "SAID mpc is left out"), (lines[2], "RAISED")):
        assert line.startswith(start)
        assert "pip install --no-deps crypten==0.4.1" in line
