"""The campaign sees what it is there for: crashes, hangs, hunger, undeclared errors; and finds none in the decoders."""

from __future__ import annotations

import contextlib
import random
import time

import msgspec
import pytest
from hypothesis import given, settings

from sotto.keyed.messages import Hello, Query, Ready, Reply
from sotto.link import FrameError, decode, encode
from tests.fuzz.campaign import campaign
from tests.fuzz.decoders import DECODERS
from tests.fuzz.decoders.decoder import Target
from tests.fuzz.inputs import inputs
from tests.fuzz.trial import ENGINES, Trial, available

PLANTED = """
import ctypes, time
from tests.fuzz.decoders.decoder import Decoder, Target
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
    raise FrameError("refused", "refused")

def sound(data):
    raise FrameError("refused", "refused")

KINDS = (crash, hang, hunger, sound)
DECODERS = {each.__name__: Decoder("somebody", lambda each=each: Target([bytes(20)], each)) for each in KINDS}
"""


@pytest.fixture
def planted(tmp_path, monkeypatch):
    (tmp_path / "planted.py").write_text(PLANTED)
    monkeypatch.syspath_prepend(tmp_path)  # which the processes inherit

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
    assert outcome.tried == sum(outcome.refused.values()) > 0


def test_what_reading_valid_inputs_takes_is_not_reported():
    told = []
    slow = Target([b"a", b"b"], lambda data: time.sleep(0.6))
    trial = Trial(slow, send=told.append)
    assert (told, trial.report.tried) == ([], 0)
    trial.attempt(b"c")
    trial.attempt(b"d")
    assert [report.tried for report in told] == [2]


def test_undeclared_errors_and_errors_of_several_lines_are_findings():
    def decode(data):
        if data == b"seed":
            return
        if len(data) % 2:
            raise KeyError("what")
        raise FrameError("refused", "one line\nand another")

    trial = Trial(Target([b"seed"], decode))
    trial.attempt(b"odd")
    trial.attempt(b"even")
    assert any("KeyError" in finding for finding in trial.report.findings)
    assert any("one line" in finding for finding in trial.report.findings)
    assert trial.report.tried == trial.report.found == 2


def test_an_input_changes_structure_and_keeps_the_rest_valid():
    """Most bent messages are still msgpack: they get beyond the first check."""
    seed = msgspec.msgpack.encode({"version": 1, "mode": "malicious", "shares": [1, 2, 3], "data": b"0123456789"})
    still, names = [], set()

    @settings(database=None)
    @given(inputs(Target([seed], bytes)))
    def attempt(data):
        with contextlib.suppress(msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            found = msgspec.msgpack.decode(data)
            if isinstance(found, dict):
                still.append(found)
                names.update(map(str, found))

    draw = random.Random(0)  # noqa: S311
    for _ in range(500):
        attempt.hypothesis.fuzz_one_input(draw.randbytes(2048))
    assert len(still) > 150
    assert len(names) > 4


def test_messages_come_out_of_their_schema_too():
    kinds = set()

    @settings(database=None)
    @given(inputs(Target([encode(Ready(1))], bytes, messages=(Hello, Ready, Query, Reply))))
    def attempt(data):
        for kind in (Hello, Query, Reply):
            with contextlib.suppress(FrameError):
                decode(data, kind)
                kinds.add(kind)

    draw = random.Random(0)  # noqa: S311
    for _ in range(500):
        attempt.hypothesis.fuzz_one_input(draw.randbytes(2048))
    assert kinds == {Hello, Query, Reply}


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("engine", ENGINES)
def test_no_decoder_has_findings(engine, tmp_path):
    if engine == "coverage" and not available():
        pytest.skip("atheris is not installed")
    for outcome in campaign(list(DECODERS), seconds=10, engine=engine, seed=1, out=tmp_path):
        assert outcome.tried, outcome
        assert not outcome.findings, outcome
