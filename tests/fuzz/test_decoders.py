"""Every decoder under bent input, steered by hypothesis: a value or a declared error on one line, nothing else."""

from __future__ import annotations

import functools
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.decoders import DECODERS
from tests.fuzz.inputs import inputs

#: Decoders that read megabytes or make keys for every input: the campaign tries them in its own processes.
HEAVY = ("he.keys", "he.description", "he.query", "he.answer", "he.session", "he.ciphertext.tenseal", "mpc.stock")
LIGHT = [name for name in DECODERS if not name.startswith(HEAVY)]
EXAMPLES = {"session": 4, "file": 8}


def refusal(target, data):
    """What a declared error says; None when the input was read."""
    try:
        target.decode(data)
    except target.declared as error:
        return str(error)
    return None


target_of = functools.cache(lambda name: DECODERS[name].make())


def examples(name: str) -> int:
    return next((count for part, count in EXAMPLES.items() if part in name), 15)


@pytest.mark.parametrize("name", LIGHT)
def test_malformed_input_gives_a_declared_error_on_one_line(name):
    target = target_of(name)

    @settings(max_examples=examples(name), deadline=None, suppress_health_check=list(HealthCheck))
    @given(inputs(target))
    def attempt(data):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            text = refusal(target, data)
        assert text is None or 0 < len(text) < 700
        assert "\n" not in (text or "")

    attempt()


@pytest.mark.parametrize("name", [name for name in LIGHT if "session" not in name])
@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_a_declared_error(name, data):
    assert "\n" not in (refusal(target_of(name), data) or "")


@pytest.mark.parametrize("name", LIGHT)
def test_a_valid_input_is_read(name):
    """What is bent is valid to begin with, so that mutations reach beyond the first check."""
    target = target_of(name)
    outcomes = [refusal(target, seed) for seed in target.seeds]
    # A recorded session of mode malicious cannot be replayed: its coins are drawn anew.  That is caught, not refused.
    read = [each for each in outcomes if each is None or "departed from the protocol" in each]
    # A stream of frames ends with its end; three kinds of files are read from one input.
    assert read or name in ("link.frames", "serving.files")
