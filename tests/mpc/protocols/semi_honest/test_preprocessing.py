"""Bundles: of exactly one size, nothing but seeds and corrections, never the same twice, and useless to one party."""

import masked_networks as networks
import masked_parties as parties
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.link import FrameError
from sotto.mpc.fss import comparison_gate, dcf, digits
from sotto.mpc.graph.program import Compare, Product, Truncate, Winner
from sotto.mpc.protocols.semi_honest.preprocessing import (
    KEY_BYTES,
    SEED_BYTES,
    Stream,
    bundle_bytes,
    make_bundle,
    read_bundle,
    weight_masks,
)
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code

NAMES = ("residual", "mixed", "two linears", "norm first", "one class")
SECRET = bytes(range(32))


def program_of(name, reveal="class"):
    return parties.compiled(*networks.build(name), reveal=reveal)[0]


@pytest.mark.parametrize("reveal", ["class", "logits"])
@pytest.mark.parametrize("name", NAMES)
def test_both_parties_shares_fit_together(name, reveal):
    program = program_of(name, reveal)
    masks = weight_masks(program, SECRET)
    sent = make_bundle(program, 3, 9, masks)
    assert [len(data) for data in sent] == [bundle_bytes(program, 3, party) for party in (0, 1)]
    alice, bob = (read_bundle(program, 3, party, data) for party, data in enumerate(sent))
    assert (alice.number, bob.number) == (9, 9)
    assert alice.key == bob.key
    mask_of = {}
    for step in program.steps:
        if isinstance(step, Product):
            hers, his = alice.products[step.out], bob.products[step.out]
            assert his.mask is None
            beside = hers.output + his.output - ring.product(step.layer, masks[step.out], hers.mask)
            if step.out in program.masking:
                mask_of[step.out] = beside.ravel()
            else:
                assert not beside.any()
        elif isinstance(step, Winner):
            hers, his = alice.gates[step.out], bob.gates[step.out]
            delta, r = hers.root ^ his.root, hers.r + his.r
            assert delta[0] & np.uint64(1)
            positive = r >> np.uint64(step.width - 1) & np.uint64(1) ^ np.uint64(1)
            assert (hers.words ^ his.words == positive[:, None] * delta).all()
            point = np.random.default_rng(1).integers(0, 1 << 64, len(r), np.uint64)
            tags = [
                dcf.evaluate_tags(point, step.depth, share.root, share.corrections, alice.key, step.out)
                for share in (hers, his)
            ]
            below = point & np.uint64((1 << step.depth) - 1) < comparison_gate.compared(step, r)
            assert (tags[0] ^ tags[1] == below[:, None] * delta).all()
        elif isinstance(step, Compare) and digits.suits(step):
            gates = alice.gates[step.out], bob.gates[step.out]
            require_digits(step, *gates, mask_of.pop(step.sources[0], None), alice.key)
        elif isinstance(step, Truncate | Compare):
            hers, his = alice.gates[step.out], bob.gates[step.out]
            r, words = mask_of.pop(step.sources[0], None), hers.words + his.words
            r = hers.r + his.r if r is None else r
            e = hers.e ^ his.e if isinstance(step, Compare) else None
            assert (words == comparison_gate.correlated(step, r, e)).all()
            if e is not None:
                assert (hers.corrections == his.corrections).all()
                point = np.random.default_rng(1).integers(0, 1 << 64, len(r), np.uint64)
                bits = [
                    dcf.evaluate_bits(party, point, step.depth, share.root, share.corrections, alice.key, step.out)
                    for party, share in enumerate((hers, his))
                ]
                low = np.uint64((1 << step.depth) - 1)
                assert ((bits[0] ^ bits[1]) == ((point & low) < comparison_gate.compared(step, r))).all()


def require_digits(step, hers, his, mask, key):
    assert (mask is None) == (hers.r is not None) == (his.r is not None)
    r, e = hers.r + his.r if mask is None else mask, hers.e ^ his.e
    nothing = np.zeros_like(hers.words)
    words = digits.correlated(step, r, e, nothing)
    whole = 2 * (1 + len(digits.PRODUCTS)) + 1 if step.cut else len(words)
    assert (hers.words[:whole] + his.words[:whole] == words[:whole]).all()
    packed = [each[whole:].copy().view(np.uint16) for each in (hers.words, his.words, words)]  # four numbers a word
    assert (packed[0] + packed[1] == packed[2]).all()
    both = hers.tables ^ his.tables
    assert (both == digits.tables(step, r, np.zeros_like(both))).all()
    alpha = comparison_gate.compared(step, r)
    counted = np.bitwise_count(both[:, :16]).reshape(len(r), 2, -1).sum(axis=2)
    assert (counted == np.stack([alpha >> np.uint64(9) & np.uint64(511), alpha & np.uint64(511)], axis=1)).all()
    if not digits.keyed(step):
        assert (np.bitwise_count(both[:, 16:]).sum(axis=1) == alpha >> np.uint64(18)).all()
        assert hers.root.size == hers.corrections.size == 0
        return
    point = np.random.default_rng(1).integers(0, 1 << digits.high_bits(step), len(r), np.uint64)
    bits = [
        dcf.evaluate_bits(party, point, digits.high_bits(step), share.root, share.corrections, key, step.out)
        for party, share in enumerate((hers, his))
    ]
    assert ((bits[0] ^ bits[1]) == (point < alpha >> np.uint64(18))).all()


def test_a_bundle_of_digits_is_a_third_smaller():
    """700 bytes a comparison of 27 bits, to both, with whole keys; in digits 400, of which no key."""
    program, _ = parties.compiled(*networks.build("residual"))
    step = next(step for step in program.compares if digits.suits(step))
    key = 16 * 2 * dcf.bit_planes(digits.high_bits(step)) if digits.keyed(step) else 0
    shorter = key + 8 * (digits.rows(step) + digits.table_words(step))
    longer = 16 * 2 * dcf.bit_planes(step.depth) + 8 * comparison_gate.rows(step)
    assert shorter < 0.72 * longer


def test_alices_bundle_is_a_seed_and_public_corrections():
    program = program_of("two linears", "logits")  # no comparison: nothing but the seed
    alice, bob = make_bundle(program, 100, 0, weight_masks(program, SECRET))
    assert len(alice) == 8 + SEED_BYTES + KEY_BYTES
    assert len(bob) > 100 * 8
    program = program_of("residual")
    planes = {
        step: digits.keyed(step) * dcf.bit_planes(digits.high_bits(step))
        if digits.suits(step)
        else dcf.bit_planes(step.depth)
        for step in program.compares
    }
    planes[program.winner] = dcf.tag_planes(program.winner.depth)
    public = sum(count * int(np.prod(step.shape)) * 16 for step, count in planes.items())
    assert bundle_bytes(program, 1, 0) == 8 + SEED_BYTES + KEY_BYTES + public


def test_no_two_bundles_share_a_secret_not_even_under_one_number():
    program = program_of("residual")
    masks = weight_masks(program, SECRET)
    bundles = [read_bundle(program, 1, 0, make_bundle(program, 1, number, masks)[0]) for number in (0, 0, 1)]
    assert len({bundle.key for bundle in bundles}) == 3
    for register in bundles[0].gates:
        assert len({bundle.gates[register].words.tobytes() for bundle in bundles}) == 3
    for register in bundles[0].products:
        assert len({bundle.products[register].mask.tobytes() for bundle in bundles}) == 3


def test_no_word_of_a_bundle_is_used_for_two_things():
    program = program_of("mixed")
    masks = weight_masks(program, SECRET)
    sent = make_bundle(program, 4, 0, masks)
    for party, data in enumerate(sent):
        bundle = read_bundle(program, 4, party, data)
        words = [array for share in bundle.products.values() for array in (share.output, share.mask)]
        words += [array for gate in bundle.gates.values() for array in (gate.r, gate.words, gate.root, gate.tables)]
        flat = np.concatenate([array.ravel() for array in words if array is not None])
        assert len(np.unique(flat)) == len(flat)
    assert len(np.unique(np.concatenate([mask.ravel() for mask in masks.values()]))) == sum(
        map(np.size, masks.values())
    )


def test_weight_masks_come_from_the_sessions_secret_alone():
    program = program_of("residual")
    first, same, other = (weight_masks(program, secret) for secret in (SECRET, SECRET, bytes(32)))
    for register in first:
        assert (first[register] == same[register]).all()
        assert not (first[register] == other[register]).any()


@pytest.fixture(scope="module")
def bundle():
    program = program_of("residual")
    return program, make_bundle(program, 1, 0, weight_masks(program, SECRET))


@given(change=st.integers(-64, 64).filter(bool), party=st.sampled_from([0, 1]))
def test_a_bundle_of_any_other_size_is_refused(bundle, change, party):
    program, made = bundle
    data = made[party]
    damaged = data[:change] if change < 0 else data + bytes(change)
    with raises_code(FrameError, "wrong-length", match="does not fit the network") as refused:
        read_bundle(program, 1, party, damaged)
    assert "\n" not in str(refused.value)


def test_bundles_of_other_batches_parties_and_networks_are_refused():
    program = program_of("residual")
    data = make_bundle(program, 2, 0, weight_masks(program, SECRET))[1]
    for other, examples, party in ((program, 1, 1), (program, 3, 1), (program, 2, 0), (program_of("mixed"), 2, 1)):
        with pytest.raises(FrameError):
            read_bundle(other, examples, party, data)
    with pytest.raises(FrameError):
        read_bundle(program, 2, 1, b"")


def test_streams_of_two_purposes_or_seeds_have_nothing_in_common():
    streams = [Stream(SECRET, "one"), Stream(SECRET, "other"), Stream(bytes(32), "one"), Stream(SECRET, "one")]
    drawn = [stream.words(2, 3) for stream in streams]
    assert drawn[0].shape == (2, 3)
    assert (drawn[0] == drawn[3]).all()
    assert len(np.unique(np.concatenate([each.ravel() for each in drawn[:3]]))) == 18
    assert set(Stream(SECRET, "bits").bits(500).tolist()) == {0, 1}
    assert Stream(SECRET, "none").words(0).size == 0
