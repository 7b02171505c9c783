"""Gates on shares: floor or one more, never anything else; exact where nothing is cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks_of_two import shared, signed, words
from parties import run_both
from test_correlations import parts

from sotto.link import LinkError
from sotto.link.secret_stream import SecretStream
from sotto.mpc.two_party.gates.gate_sizes import Gate
from sotto.mpc.two_party.gates.gates import AliceSide, BobSide, choices_bytes


def completed(hers, correction):
    """Alice's part with what Bob sends for it."""
    return hers if correction is None else replace(hers, selection=hers.selection.complete(correction))


def run(gate, values, change=lambda link: link):
    """The gate's output for int64 ``values``, as signed numbers."""
    hers, his, correction = parts(gate, len(values))
    for_alice, for_bob = shared(values, gate.modulus)

    def alice(link):
        side = AliceSide("gate", gate, completed(hers, correction), change(link))
        return side.run(side.choose(for_alice))

    def bob(link):
        side = BobSide("gate", gate, his, link, SecretStream("test"))
        side.hear(memoryview(link.receive("gate.choices", limit=choices_bytes(gate, len(values)))), len(values))
        return side.run(for_bob)

    one, two = run_both(alice, bob)
    return signed(one + two, gate.modulus)


def edges(gate, count):
    """Values over the gate's whole range, its ends and zero among them."""
    bound = 1 << (gate.width + gate.cut - (1 if gate.compares else 3))
    values = signed(words(count), 64) % (2 * bound) - bound
    values[:6] = [0, 1, -1, -bound, bound - (1 << gate.cut), -(1 << gate.cut)]
    return np.minimum(values, bound - (1 << gate.cut))


def expected(gate, values):
    low = values >> gate.cut
    return (np.maximum(low, 0), np.maximum(low + 1, 0)) if gate.compares else (low, low + 1)


@settings(deadline=None, max_examples=25)
@given(st.booleans(), st.integers(0, 24), st.integers(3, 36), st.integers(0, 6), st.integers(6, 40))
def test_outputs(compares, cut, width, spare, count):
    cut = cut if compares else max(1, cut)  # nothing cut is no truncation
    gate = Gate(min(64, cut + width + spare), cut, width, compares)
    values = edges(gate, count)
    out = run(gate, values)
    low, high = expected(gate, values)
    assert ((out == low) | (out == high)).all()
    if not cut:
        assert (out == (np.maximum(values, 0) if compares else values)).all()


def test_rounding_goes_by_the_bits_that_are_cut():
    """y / 2^cut is rounded up with a probability that is its fraction: the mean is right."""
    gate, count = Gate(46, 16, 27, False), 20000
    values = np.full(count, (7 << 16) + (3 << 14))  # 7.75
    assert abs(run(gate, values).mean() - 7.75) < 0.02


@pytest.mark.parametrize("compares", [True, False])
def test_shares_of_the_output_are_fresh(compares):
    gate = Gate(46, 16, 27, compares)
    hers, his, correction = parts(gate, 512)
    one, two = shared(np.zeros(512, np.int64), 46)

    def alice(link):
        side = AliceSide("gate", gate, completed(hers, correction), link)
        return side.run(side.choose(one))

    def bob(link):
        side = BobSide("gate", gate, his, link, SecretStream("test"))
        side.hear(memoryview(link.receive("gate.choices", limit=choices_bytes(gate, 512))), 512)
        return side.run(two)

    for share in run_both(alice, bob):
        low = share & np.uint64((1 << 46) - 1)
        assert len(np.unique(low)) > (500 if compares else 100)


def test_everything_that_is_opened_looks_uniform():
    """Equal inputs, one after the other: bits and words on the wire take all values."""
    gate, seen = Gate(46, 16, 27, True), {}

    def watched(link):
        link.observer = lambda way, name, payload: seen.setdefault((way, name), bytes(payload))
        return link

    run(gate, np.full(4096, 3 << 16), watched)
    assert {name for _, name in seen} == {
        "gate.choices",
        "gate.tables",
        "gate.and1",
        "gate.and2",
        "gate.and3",
        "gate.select",
    }
    for key, payload in seen.items():
        bits = np.unpackbits(np.frombuffer(payload, np.uint8))
        assert abs(bits.mean() - 0.5) < 0.02, key


@pytest.mark.parametrize("name", ["gate.tables", "gate.and2", "gate.select"])
@pytest.mark.parametrize("change", [lambda data: data[:-1], lambda data: data + b"\0"])
def test_messages_of_another_size_are_refused(name, change):
    gate = Gate(46, 16, 27, True)
    hers, his, correction = parts(gate, 20)

    def altered(link):
        for kind in ("send", "exchange"):
            act = getattr(link, kind)

            def changed(n, payload, act=act, **kwargs):
                return act(n, change(bytes(payload)) if n == name else payload, **kwargs)

            setattr(link, kind, changed)
        return link

    def alice(link):
        side = AliceSide("gate", gate, completed(hers, correction), link)
        return side.run(side.choose(words(20)))

    def bob(link):
        side = BobSide("gate", gate, his, altered(link), SecretStream("test"))
        side.hear(memoryview(link.receive("gate.choices", limit=choices_bytes(gate, 20))), 20)
        return side.run(words(20))

    with pytest.raises(LinkError):
        run_both(alice, bob)
