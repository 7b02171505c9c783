"""Messages: versions, sizes before allocation, and decoders that survive anything."""

from __future__ import annotations

import threading

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.he.messages import (
    MAX_PART,
    PIECE,
    VERSION,
    Description,
    Hello,
    Keys,
    Query,
    Ready,
    Reply,
    open_query,
    query_limit,
    receive_keys,
    receive_reply,
    send_keys,
)
from sotto.he.network.parameters import MAX_CHAIN_BITS, Parameters
from sotto.link import FrameError, decode, encode, pair
from tests.error_codes import raises_code

PARAMETERS = Parameters(8192, (50,), 5, 26, 38)
DESCRIPTION = Description(VERSION, 88, 8, 8192, (50,), 5, 26, 38, True, 1e6)


@pytest.mark.parametrize("kind", [Hello, Description, Keys, Ready, Query, Reply])
def test_arbitrary_bytes_are_malformed(kind):
    @settings(max_examples=200, deadline=None)
    @given(st.binary(max_size=200))
    def check(data):
        try:
            message = decode(data, kind)
        except FrameError:
            return
        assert encode(message)

    check()


@pytest.mark.parametrize("message", [Hello(VERSION), DESCRIPTION, Keys(VERSION, 5), Reply(VERSION, b"x")])
def test_another_version_and_unknown_fields_are_refused(message):
    assert decode(encode(message), type(message)) == message
    fields = msgspec.to_builtins(message, builtin_types=(bytes,))
    for changed in (
        {**fields, "version": 2},
        {**fields, "extra": 1},
        {k: v for k, v in fields.items() if k != "version"},
    ):
        with raises_code(FrameError, "malformed"):
            decode(msgspec.msgpack.encode(changed), type(message))


def test_an_honest_description_gives_its_parameters():
    assert DESCRIPTION.parameters() == PARAMETERS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"special_bits": 50}, "insecure"),
        ({"ring_degree": 4096}, "bad-ring-degree"),
        ({"base": (50,) * 3}, "insecure"),
        ({"base": (20,) * 1000}, "bad-parameters"),
        ({"levels": 10**9}, "bad-level-count"),
        ({"scale_bits": -26}, "bad-prime-size"),
        ({"inputs": 1025}, "bad-model"),
        ({"classes": 17}, "bad-model"),
        ({"inputs": 10**12}, "bad-model"),
        ({"classes": 0}, "bad-model"),
        ({"logit_bound": float("inf")}, "no-bound"),
        ({"logit_bound": float("nan")}, "no-bound"),
    ],
)
def test_a_description_alice_must_not_follow_is_refused(change, reason):
    with raises_code(FrameError, reason):
        msgspec.structs.replace(DESCRIPTION, **change).parameters()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([8192, 16384, 32768]) | st.integers(-10, 10**6),
    st.lists(st.integers(35, 60), min_size=1, max_size=2) | st.lists(st.integers(-(10**6), 10**6), max_size=40),
    st.integers(1, 5) | st.integers(-10, 10**6),
    st.integers(20, 34) | st.integers(-10, 100),
    st.integers(24, 60) | st.integers(-10, 100),
    st.floats(1, 1e9) | st.floats(),
)
def test_any_description_is_accepted_whole_or_refused(ring_degree, base, levels, scale_bits, special_bits, bound):
    description = msgspec.structs.replace(
        DESCRIPTION,
        ring_degree=ring_degree,
        base=tuple(base),
        levels=levels,
        scale_bits=scale_bits,
        special_bits=special_bits,
        logit_bound=bound,
    )
    try:
        accepted = description.parameters()
    except FrameError:
        return
    assert accepted == Parameters(ring_degree, tuple(base), levels, scale_bits, special_bits)
    assert sum(accepted.chain) <= MAX_CHAIN_BITS[ring_degree]
    assert 0 < bound < float("inf")


@pytest.mark.parametrize("size", [1, PIECE, PIECE + 1, 2 * PIECE + 7])
def test_keys_arrive_in_pieces(size):
    left, right = pair(timeout=10)
    material = bytes(range(251)) * (size // 251 + 1)
    thread = threading.Thread(target=send_keys, args=(left, material[:size]))
    thread.start()
    assert receive_keys(right, size, 10) == material[:size]
    thread.join()


def test_keys_larger_than_the_parameters_allow_are_refused_before_they_arrive():
    left, right = pair(timeout=5)
    left.send("he.keys", encode(Keys(VERSION, PARAMETERS.key_bytes + 1)))
    with raises_code(FrameError, "keys-too-large"):
        receive_keys(right, PARAMETERS.key_bytes, 5)


@pytest.mark.parametrize("pieces", [[b""], [b"123", b""], [b"1234567890"]])
def test_pieces_that_do_not_add_up_are_refused(pieces):
    left, right = pair(timeout=5)
    left.send("he.keys", encode(Keys(VERSION, 8)))
    for piece in pieces:
        left.send("he.key", piece)
    with pytest.raises(FrameError):
        receive_keys(right, 100, 5)


@pytest.mark.parametrize("ciphertexts", [(), (b"x",) * (MAX_PART + 1), (b"x" * (PARAMETERS.query_bytes + 1),)])
def test_queries_of_impossible_size_are_refused(ciphertexts):
    with pytest.raises(FrameError):
        open_query(encode(Query(VERSION, True, ciphertexts)), PARAMETERS.query_bytes)


def test_the_largest_honest_query_is_within_the_limit():
    query = Query(VERSION, True, (bytes(PARAMETERS.query_bytes),) * MAX_PART)
    data = encode(query)
    assert len(data) <= query_limit(PARAMETERS.query_bytes)
    assert open_query(data, PARAMETERS.query_bytes) == query


def test_an_answer_larger_than_the_parameters_allow_is_refused():
    left, right = pair(timeout=5)
    left.send("he.answer", encode(Reply(VERSION, bytes(PARAMETERS.answer_bytes + 1))))
    with raises_code(FrameError, "ciphertext-too-large"):
        receive_reply(right, PARAMETERS.answer_bytes, 5)
