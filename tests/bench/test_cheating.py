"""What a user's wish for a cheat means."""

import pytest

from sotto.bench.cheating import CheatError, find, parsed
from sotto.mpc.attacks import KINDS, Place
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
