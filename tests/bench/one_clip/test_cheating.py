"""What a user's wish for a cheat means."""

import inspect
import re

import pytest

from sotto.bench.one_clip.cheating import BEGINNINGS, CheatError, find, parsed
from sotto.mpc.attacks import KINDS, MEANINGS, Place
from sotto.mpc.graph import compiler
from tests.error_codes import raises_code

KNOWN = {
    "alice": [Place("mpc.hello", 40, False), Place("mpc.query", 11, True), Place("input", 320, True)],
    "bob": [
        Place("mpc.ready", 0, False), Place("relu1.masked", 64, True), Place("relu1.sign", 1, True),
        Place("relu10.masked", 64, True), Place("check.tags", 48, True), Place("output", 24, True),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("wish", "place", "kind"),
    [
        ("bob:relu1", "relu1.masked", "consistent"),
        ("bob:relu1.sign", "relu1.sign", "consistent"),
        ("bob:relu10", "relu10.masked", "consistent"),
        ("bob:check", "check.tags", "add"),
        ("bob:output", "output", "add"),
        ("alice:input:flip", "input", "flip"),
    ],
)
def test_a_message_may_be_named_by_its_beginning(wish, place, kind):
    cheat = find(wish, KNOWN)
    assert (cheat.party, cheat.place, cheat.kind) == (wish.split(":")[0], place, kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_wished_for(kind):
    assert parsed(f"bob:output:{kind}") == ("bob", "output", kind)


def test_what_no_message_is_called_is_refused_before_there_is_a_session():
    with raises_code(CheatError, "no-such-message", match="'nonsense'"):
        parsed("bob:nonsense3.masked")


@pytest.mark.parametrize("meaning", MEANINGS)
def test_a_meaning_is_a_cheat(meaning):
    assert find(meaning, KNOWN).kind == "meaning"


def test_the_beginnings_are_those_of_every_step_of_a_program():
    named = set(re.findall(r'_name\("([a-z]+)"', inspect.getsource(compiler)))
    assert {"relu", "truncate"} < named
    assert named | set(compiler._PRODUCTS.values()) <= set(BEGINNINGS)


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("dealer:output", "bad-cheat"),
        ("bob", "bad-cheat"),
        ("bob:", "bad-cheat"),
        ("bob:output:bribe", "unknown-kind"),
        ("bob:relu2", "no-such-message"),
        ("bob:mpc.ready", "no-such-message"),
        ("alice:relu1", "no-such-message"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_one_line(wish, said):
    with raises_code(CheatError, said) as refused:
        find(wish, KNOWN)
    assert "\n" not in str(refused.value)
