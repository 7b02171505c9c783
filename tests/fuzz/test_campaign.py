"""The campaign sees what it is there for: crashes, hangs, hunger, undeclared errors; and finds none in the decoders."""

from __future__ import annotations

import random

import msgspec
import pytest

from sotto.bench.fuzzing.campaign import campaign
from sotto.bench.fuzzing.coverage import available
from sotto.bench.fuzzing.decoder import Target
from sotto.bench.fuzzing.decoders import DECODERS
from sotto.bench.fuzzing.mutation import mutated
from sotto.bench.fuzzing.process import Report, Trial
from sotto.link import FrameError

PLANTED = """
import ctypes, time
from sotto.bench.fuzzing.decoder import Decoder, Target
from sotto.link import FrameError

def crash(data):
    if len(data) != 20:
        ctypes.string_at(0)

def hang(data):
    if len(data) != 20:
        time.sleep(1000)

def hunger(data):
    if len(data) != 20:
        bytearray(1 << 36)
    raise FrameError("refused")

def sound(data):
    raise FrameError("refused")

KINDS = (crash, hang, hunger, sound)
DECODERS = {each.__name__: Decoder("somebody", lambda each=each: Target([bytes(20)], each)) for each in KINDS}
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(PLANTED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")

    def found(name, **options):
        (outcome,) = campaign([name], seconds=0.5, out=tmp_path / "out", registry="planted", **options)
        return outcome

    return found


def test_a_crash_of_the_process_is_a_finding_and_its_input_is_kept(planted, tmp_path):
    outcome = planted("crash")
    assert outcome.crashes
    kept = [tmp_path / "out" / finding.rpartition(" ")[2] for finding in outcome.findings]
    assert kept
    assert all(len(path.read_bytes()) != 20 for path in kept)


def test_a_process_that_hangs_is_ended_and_counted(planted):
    assert planted("hang", silent=3.0).hangs


def test_an_allocation_out_of_proportion_is_a_finding(planted):
    outcome = planted("hunger")
    assert any("MemoryError" in finding for finding in outcome.findings)


def test_a_sound_decoder_has_no_findings(planted):
    outcome = planted("sound")
    assert not outcome.findings
    assert outcome.tried == sum(outcome.refused.values()) > 10


def test_undeclared_errors_and_errors_of_several_lines_are_findings():
    def decode(data):
        if data == b"seed":
            return
        if len(data) % 2:
            raise KeyError("what")
        raise FrameError("one line\nand another")

    trial = Trial(Target([b"seed"], decode), Report("it", "mutation"), 64, None)
    trial.attempt(b"odd")
    trial.attempt(b"even")
    assert any("KeyError" in finding for finding in trial.report.findings)
    assert any("one line" in finding for finding in trial.report.findings)
    assert trial.report.tried == trial.report.found == 2


def test_a_mutation_changes_structure_and_keeps_the_rest_valid():
    """Most bent messages are still msgpack: they get beyond the first check."""
    seed = msgspec.msgpack.encode({"version": 1, "mode": "malicious", "shares": [1, 2, 3], "data": b"0123456789"})
    draw = random.Random(0)  # noqa: S311
    still, names = 0, set()
    for _ in range(500):
        try:
            found = msgspec.msgpack.decode(mutated([seed], draw))
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            continue
        if isinstance(found, dict):
            still += 1
            names |= {str(key) for key in found}
    assert still > 150
    assert len(names) > 4


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ["mutation", "coverage"])
def test_no_decoder_has_findings(engine, tmp_path):
    if engine == "coverage" and not available():
        pytest.skip("atheris is not installed")
    for outcome in campaign(list(DECODERS), seconds=10, engine=engine, seed=1, out=tmp_path):
        assert outcome.tried, outcome
        assert not outcome.findings, outcome
