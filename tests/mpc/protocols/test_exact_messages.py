"""Messages of a known size: a shorter one is refused, a longer one is not even taken."""

from __future__ import annotations

import pytest

from sotto.link import FrameError, pair
from sotto.mpc.protocols.exact_messages import exchange_exactly, receive_exactly
from tests.error_codes import raises_code


@pytest.mark.parametrize("size", [0, 3, 5])
def test_another_size_is_refused(size):
    ours, theirs = pair(timeout=5)
    theirs.send("m", bytes(size))
    with pytest.raises(FrameError):
        receive_exactly(ours, "m", 4)


def test_the_right_size_passes_both_ways():
    ours, theirs = pair(timeout=5)
    theirs.send("m", b"abcd")
    assert receive_exactly(ours, "m", 4) == b"abcd"
    theirs.send("m", b"abc")
    assert exchange_exactly(ours, "m", b"wxyz", 3) == b"abc"
    theirs.send("m", b"ab")
    with raises_code(FrameError, "wrong-length", match="another number of bytes of 'm'"):
        exchange_exactly(ours, "m", b"wxyz")
