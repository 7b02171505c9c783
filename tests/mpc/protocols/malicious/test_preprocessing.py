"""What the dealer hands out: every share with its tag, every size exact, nothing drawn twice."""

import secrets

import numpy as np
import pytest
from malicious_parties import MASK, Dealt, compiled, integers_of, value_of, words_of
from networks import INPUT_SHAPES, build, tiny

from sotto.link import FrameError
from sotto.mpc.fss import comparison_gate, dcf
from sotto.mpc.graph.program import Compare, Product, Truncate
from sotto.mpc.protocols import winner
from sotto.mpc.protocols.malicious.opening_check import OpeningLog, passes
from sotto.mpc.protocols.malicious.preprocessing import SessionSecret, read_bundle, read_session
from sotto.mpc.sharing import ring
from sotto.mpc.sharing.authenticated import Authenticated
from tests.error_codes import raises_code


@pytest.fixture(scope="module", params=["mixed", "pooled"])
def dealt(request):
    program, _ = compiled(build(request.param), INPUT_SHAPES[request.param], limit=4.0)
    return Dealt(program, examples=2, number=7)


def small(width=3, reveal="class"):
    return compiled(tiny(width), (4,), reveal=reveal)[0]


def both(dealt, choose):
    """The words that both parties' shares stand for; their tags verified."""
    return words_of(dealt.secret, *(choose(bundle) for bundle in dealt.bundles))


def beside(dealt, step):
    """What the words of a product's output are beside the product of its masks."""
    mask = both(dealt, lambda bundle: bundle.products[step.out].mask)
    output = both(dealt, lambda bundle: bundle.products[step.out].output)
    return output - ring.product(step.layer, dealt.masks[step.out], mask)


def mask_of(dealt, step):
    """The mask r (N,) of a gate."""
    shares = [bundle.gates[step.out].r for bundle in dealt.bundles]
    if shares[0] is not None:
        return words_of(dealt.secret, *shares)
    (product,) = [each for each in dealt.program.products if each.out == step.sources[0]]
    return beside(dealt, product).ravel()


def test_masks_of_weights_have_tags_and_bob_has_them_in_clear(dealt):
    for step in dealt.program.products:
        for kind in ("weights", "biases"):
            words = words_of(dealt.secret, *(getattr(each, kind)[step.out] for each in dealt.weights))
            clear = dealt.weights[1].clear[kind == "biases"][step.out]
            assert (words == clear).all()
        assert (dealt.weights[1].clear[0][step.out] == dealt.masks[step.out]).all()
    assert dealt.weights[0].clear is None
    hers = [*dealt.weights[0].weights.values(), *dealt.weights[0].biases.values()]
    assert not any(share.opening.any() for share in hers)
    assert all(share.planes[2:].all() for share in hers)  # of the tags she holds shares like any other


def test_the_input_and_output_masks_have_tags_and_their_owner_has_them_in_clear(dealt):
    alice, bob = dealt.bundles
    assert (both(dealt, lambda bundle: bundle.input) == alice.input_clear).all()
    assert bob.input_clear is None
    dealt = Dealt(small(reveal="logits"))
    alice, bob = dealt.bundles
    assert (both(dealt, lambda bundle: bundle.output.masks[0]) == alice.output.clear).all()
    assert (both(dealt, lambda bundle: bundle.output.masks[1]) == bob.output.clear).all()
    assert (alice.output.key, bob.output.tag) != (b"", b"")
    assert (bob.output.key, alice.output.tag) == (b"", b"")


def test_products_have_masks_and_their_images_with_tags(dealt):
    fresh = 0
    for step in dealt.program.products:
        found = beside(dealt, step)
        if step.out in dealt.program.masking:
            assert len(np.unique(found)) == found.size  # it is the mask of a gate
        else:
            assert not found.any()
        fresh += step.sources[0] not in dealt.program.masked
    assert fresh


def test_gates_have_masks_and_correlated_words_with_tags(dealt):
    steps = [step for step in dealt.program.steps if isinstance(step, Compare | Truncate)]
    for step in steps:
        shares = [bundle.gates[step.out] for bundle in dealt.bundles]
        r = mask_of(dealt, step)
        words = words_of(dealt.secret, *(share.words for share in shares))
        e = None
        if isinstance(step, Compare):
            tags = shares[0].e ^ shares[1].e  # e · Delta
            e = (tags[:, 0] & np.uint64(1)).astype(np.uint8)
            assert (tags == e.astype(np.uint64)[:, None] * dealt.secret.delta).all()
        if step != dealt.program.winner:
            assert (words == comparison_gate.correlated(step, r, e)).all()


def test_every_comparisons_bit_is_opened_under_one_of_its_own():
    """Of a gate and of the winner, each by itself: without e the opened bit would say whether c is below r."""
    dealt = Dealt(small(), examples=64)
    for step in dealt.program.compares:
        first, second = (bundle.gates[step.out].e for bundle in dealt.bundles)
        e = (first ^ second)[:, 0] & np.uint64(1)
        assert len(e) >= 64
        assert abs(e.mean() - 0.5) < 6 * 0.5 / np.sqrt(len(e))


def test_comparison_keys_give_bits_with_tags(dealt):
    points_of = np.random.default_rng(4)
    for step in dealt.program.compares:
        shares = [bundle.gates[step.out] for bundle in dealt.bundles]
        alpha = comparison_gate.compared(step, mask_of(dealt, step))
        points = points_of.integers(0, 1 << step.depth, len(alpha), np.uint64)
        points[: len(points) // 2] = alpha[: len(points) // 2] - np.uint64(1) & np.uint64((1 << step.depth) - 1)
        got = [
            dcf.evaluate_tags(points, step.depth, keys.delta, share.corrections, dealt.bundles[0].key, step.out)
            for keys, share in zip(dealt.keys, shares, strict=True)
        ]
        expected = (points < alpha).astype(np.uint64)[:, None] * dealt.secret.delta
        assert (got[0] ^ got[1] == expected).all()


def test_the_winners_labels_are_bobs_and_alice_has_their_hashes(dealt):
    step, (alice, bob) = dealt.program.winner, dealt.bundles
    gates = [bundle.gates[step.out] for bundle in dealt.bundles]
    r = words_of(dealt.secret, *(gate.r for gate in gates))
    e = ((gates[0].e ^ gates[1].e)[:, 0] & np.uint64(1)).astype(np.uint8)
    d = (e ^ comparison_gate.sign_bits(step, r) ^ np.uint8(1)).reshape(2, -1)
    labels = bob.winner.labels
    assert labels.shape == (2, *step.shape, 2, 2)
    assert len(np.unique(labels)) == labels.size
    assert alice.winner.label_hashes == winner.label_hashes(alice.place, labels)
    assert alice.winner.targets == winner.label_targets(step.classes, alice.place, labels, d)
    assert (alice.winner.labels, bob.winner.label_hashes, bob.winner.targets) == (None, b"", b"")
    assert bob.output is None
    beats = np.random.default_rng(2).integers(0, 2, d.shape, np.uint8)
    given = np.take_along_axis(labels, (d ^ beats)[:, :, None, None], axis=2)[:, :, 0]
    own = winner.label_guesses(step.classes, alice.place, given)
    expected = winner.index(step.classes, beats.astype(bool))
    assert (winner.found(step.classes, own, alice.winner.targets) == expected).all()
    bits, flat = (d ^ beats).ravel(), given.reshape(-1, 2)
    assert winner.are_labels(alice.place, flat, bits, alice.winner.label_hashes)
    for place, other in enumerate(labels.reshape(-1, 2, 2)[np.arange(len(bits)), bits ^ 1]):
        for wrong in (other, flat[place] ^ np.uint64(1), flat[place - 1]):
            changed = flat.copy()
            changed[place] = wrong
            assert not winner.are_labels(alice.place, changed, bits, alice.winner.label_hashes)


def test_the_high_half_of_what_masks_an_opening_is_uniform(dealt):
    """Openings show both halves, so the masks must cover both."""
    masks = [
        tuple(
            bundle.products[out].output if out in dealt.program.masking else bundle.gates[step.out].r
            for bundle in dealt.bundles
        )
        for step in dealt.program.compares
        for out in step.sources
    ]
    masks += [
        tuple(bundle.products[step.out].mask for bundle in dealt.bundles)
        for step in dealt.program.products
        if step.sources[0] not in dealt.program.masked
    ]
    highs = [(value_of(dealt.secret, *pair) >> 64).ravel() for pair in masks]
    logits = Dealt(small(reveal="logits"))
    for which in (0, 1):
        pair = (bundle.output.masks[which] for bundle in logits.bundles)
        highs.append((value_of(logits.secret, *pair) >> 64).ravel())
    highs = np.concatenate(highs).astype(np.uint64)
    assert len(set(highs.tolist())) == len(highs)
    ones = np.unpackbits(highs.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(64 * len(highs))


def test_keys_are_as_wide_as_they_should_be():
    secrets_ = [SessionSecret.of(secrets.token_bytes(32)) for _ in range(200)]
    for party in (0, 1):
        alphas = [each.keys[party].alpha for each in secrets_]
        assert len(set(alphas)) == 200
        assert all(0 <= alpha < 1 << 64 for alpha in alphas)
        assert min(bin(np.bitwise_or.reduce(np.array(alphas, np.uint64))).count("1"), 64) == 64
        deltas = [tuple(each.keys[party].delta.tolist()) for each in secrets_]
        assert len(set(deltas)) == 200
        assert {delta[0] & 1 for delta in deltas} == {0, 1}  # either half's own lowest bit says nothing
    assert all(int(each.delta[0]) & 1 for each in secrets_)
    assert any(each.alpha > MASK for each in secrets_)  # the sum is one of whole numbers, it is not reduced


def test_tags_are_whole():
    """Of 128 bits: nothing is cut off that would let the key show."""
    dealt = Dealt(small(40))
    step = dealt.program.compares[0]
    for bundle in dealt.bundles:
        high = bundle.gates[step.out].words.planes[3, 0]
        assert high.max() > np.uint64(1 << 60)
        assert len(np.unique(high)) == len(high)
    tags = dealt.bundles[0].gates[step.out].e
    assert tags.shape == (40, 2)
    assert len(np.unique(tags[:, 1])) == 40


def test_two_bundles_have_nothing_in_common():
    dealt = Dealt(small(12), number=3)
    _, again = dealt.bundle(1, 3)  # the same number and the same session
    for party in (0, 1):
        first, second = dealt.bundles[party], again[party]
        assert first.key != second.key
        seen = [_all_words(bundle) for bundle in (first, second)]
        assert len(seen[0]) == len(seen[1]) > 100
        assert not set(seen[0].tolist()) & set(seen[1].tolist())


def test_two_sessions_have_nothing_in_common():
    program = small(12)
    one, other = Dealt(program), Dealt(program)
    for party in (0, 1):
        assert one.keys[party].alpha != other.keys[party].alpha
        seen = [
            np.concatenate(
                [share.planes[0 if party else 2 :].ravel() for share in each.weights[party].weights.values()]
            )
            for each in (one, other)
        ]
        assert not set(seen[0].tolist()) & set(seen[1].tolist())


def test_every_share_within_a_bundle_is_another():
    dealt = Dealt(small(12))
    for bundle in dealt.bundles:
        words = _all_words(bundle)
        assert len(np.unique(words)) == len(words)


def _all_words(bundle):
    """All uniform words of one party's bundle, each once."""
    parts = [bundle.input.planes]
    if bundle.winner.labels is not None:
        parts.append(bundle.winner.labels)
    first = min(bundle.products)
    parts += [share.output.planes for share in bundle.products.values()]
    parts += [share.mask.planes for out, share in bundle.products.items() if out != first]
    for gate in bundle.gates.values():
        parts += [gate.words.planes, gate.e, *([] if gate.r is None else [gate.r.planes])]
    return np.concatenate([part.ravel() for part in parts])


@pytest.mark.parametrize("reveal", ["class", "logits"])
@pytest.mark.parametrize("examples", [1, 3])
def test_bundles_of_another_size_are_refused(reveal, examples):
    dealt = Dealt(small(reveal=reveal), examples=examples)
    for party, data in enumerate(dealt.sent):
        read_bundle(dealt.program, examples, party, data)
        for wrong in (b"", data[:-1], data + b"\0", data[:-8], data[8:], dealt.sent[1 - party]):
            with raises_code(FrameError, "wrong-length", match="does not fit the network"):
                read_bundle(dealt.program, examples, party, wrong)
        with raises_code(FrameError, "wrong-length", match="does not fit the network"):
            read_bundle(dealt.program, examples + 1, party, data)
    for party, data in enumerate(dealt.opening):
        for wrong in (b"", data[:-1], data + b"\0", dealt.opening[1 - party]):
            with raises_code(FrameError, "wrong-length"):
                list(read_session(dealt.program, party, wrong)[1])


def test_a_bundle_that_was_changed_on_its_way_fails_the_check():
    """Behind the seed come the tags of the input's mask: any of their words counts."""
    dealt = Dealt(small())
    start = 8 + 32 + 16
    of_input = 4 * 2  # words: the high and low half of the tags of four masks
    for word in range(of_input):
        broken = bytearray(dealt.sent[1])
        broken[start + 8 * word] ^= 1
        assert not _passes(dealt, read_bundle(dealt.program, 1, 1, broken))
    assert _passes(dealt, dealt.bundles[1])


def _passes(dealt, bob):
    """Whether all shares of the bundle, opened together, pass the check."""
    logs = OpeningLog(), OpeningLog()
    for first, second in zip(_shares(dealt.bundles[0]), _shares(bob), strict=True):
        logs[0].add(first, second.opening)
        logs[1].add(second, first.opening)
    return passes(*(log.sigma(keys, bytes(32)) for log, keys in zip(logs, dealt.keys, strict=True)))


def _shares(bundle):
    yield bundle.input
    for share in bundle.products.values():
        yield from (share.mask, share.output)
    for gate in bundle.gates.values():
        yield from (gate.words, *([] if gate.r is None else [gate.r]))
    if bundle.output:
        yield from bundle.output.masks


def test_key_bytes_of_a_relu_stay_below_the_target():
    """1.3 KB for each comparison, to both, in a network that is nearly all of it comparisons."""
    program, _ = compiled(build("depinto"), INPUT_SHAPES["depinto"], limit=32.0)
    relus = sum(int(np.prod(step.shape)) for step in program.compares)
    dealt = Dealt(program)
    assert relus == 2560 + 28
    assert sum(map(len, dealt.sent)) / relus <= 1300


def test_nothing_of_a_bundle_is_shown():
    dealt = Dealt(small())
    for thing in (*dealt.bundles, *dealt.weights, *dealt.keys, dealt.secret, dealt.bundles[0].winner):
        assert "array" not in repr(thing)
        assert "b'" not in repr(thing)


def test_shares_of_zero_are_not_zero():
    """Every derived word is shared afresh, whatever it is."""
    dealt = Dealt(small(30))
    step = next(step for step in dealt.program.steps if isinstance(step, Compare))
    d = both(dealt, lambda bundle: Authenticated(bundle.gates[step.out].words.planes[:, 0]))
    assert set(d.tolist()) == {0, 1}
    assert all(bundle.gates[step.out].words.planes.all() for bundle in dealt.bundles)
    assert isinstance(dealt.program.steps[0], Product)
    assert (integers_of(dealt.bundles[0].input.planes[:2]) > 0).all()
