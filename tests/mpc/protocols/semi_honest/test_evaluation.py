"""What crosses the link in a query is uniform whatever goes in, and one bundle serves one query."""

import masked_networks as networks
import masked_parties as parties
import numpy as np
import pytest
from scipy import stats
from torch import nn

from sotto.link import BadType, FrameError, LinkError, WrongState, pair
from sotto.mpc.fss import digits
from sotto.mpc.protocols.semi_honest import evaluation as semi_honest
from sotto.mpc.protocols.semi_honest import preprocessing as semi_honest_preprocessing
from sotto.mpc.protocols.semi_honest.evaluation import AliceEvaluation, BobEvaluation, weight_words
from sotto.mpc.protocols.semi_honest.preprocessing import make_bundle, read_bundle, weight_masks
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code

FALSE_ALARM = 1e-7  # of a whole test of uniformity


def p_values(table):
    """Chi-squared against uniform along the last axis of counts."""
    expected = table.sum(axis=-1, keepdims=True) / table.shape[-1]
    statistic = ((table - expected) ** 2 / expected).sum(axis=-1)
    return np.atleast_1d(stats.chi2.sf(statistic, table.shape[-1] - 1))


def counts(symbols, base):
    """How often each symbol below ``base`` occurs along the first axis: (…, base)."""
    return np.stack([(symbols == value).sum(axis=0) for value in range(base)], axis=-1)


def word_p_values(words, bits=64):
    """Of ``words`` (samples, positions): each byte over all positions, and each position's nibbles; ``bits``: used."""
    found = []
    for start in range(64 - bits, 64, 8):
        width = min(8, 64 - start)
        symbol = (words >> np.uint64(start)) & np.uint64((1 << width) - 1)
        found.append(p_values(np.bincount(symbol.ravel().astype(np.int64), minlength=1 << width)))
        for low in range(0, width, 4):
            nibble = (symbol >> np.uint64(low)) & np.uint64(15)
            found.append(p_values(counts(nibble, 1 << min(4, width - low))).ravel())
    return np.concatenate(found)


def bit_p_values(bits):
    """Of ``bits`` (samples, positions): each position, and all together."""
    return np.concatenate([p_values(counts(bits, 2)).ravel(), p_values(np.bincount(bits.ravel(), minlength=2))])


EXAMPLES, RUNS = 512, 4
FIXED = np.array([[1.0, -8.0, 0.0, 2.0**-16, 3.25, 8.0]], np.float32)


def transcript(module, x, reveal):
    """Every word and bit that crosses the link, by direction and message: a query of the same example many times over.

    Words are (samples, positions).  ``opened`` are the sums of what both sides sent of one name.
    """
    program, weights = parties.compiled(module, x.shape[1:], reveal=reveal)
    sizes = {step.name: int(np.prod(step.shape)) for step in program.steps}
    sizes |= {step.name: 5 * sizes[step.name] for step in program.compares if digits.suits(step)}  # of the .sign
    found = {}

    def note(key, values):
        found.setdefault(key, []).append(values)

    for _ in range(RUNS):
        seen = []
        words = ring.encode(np.repeat(x, EXAMPLES, axis=0))
        parties.execute(program, words, weights, lambda link, seen=seen: seen.append(parties.observed(link)))
        halves = {}
        for way, name, payload in seen[0]:
            if name == "done":
                continue
            if name == "mpc.masked":
                (start, *rest) = [8, *np.cumsum(_static_counts(program)) * 8 + 8]
                for number, end in enumerate(rest):
                    part = np.frombuffer(payload[start:end], np.uint64)
                    note((way, f"{name} {number}"), part.reshape(EXAMPLES, -1))
                    start = end
                continue
            kind = name.rpartition(".")[2]
            if kind == "sign":
                count = EXAMPLES * sizes[name.rpartition(".")[0]]
                values = np.unpackbits(np.frombuffer(payload, np.uint8), count=count).reshape(EXAMPLES, -1)
            else:
                values = np.frombuffer(payload, np.uint64).reshape(EXAMPLES, -1)
            note((way, name), values)
            if name in halves:
                note(("opened", name), halves[name] ^ values if kind == "sign" else halves[name] + values)
            halves[name] = values
    return program, {key: np.concatenate(values) for key, values in found.items()}


def _static_counts(program):
    """Elements of each gate that reads a product alone, in the order of the steps."""
    gates = [step for step in semi_honest._gates(program) if step.sources[0] in program.static]
    return [EXAMPLES * int(np.prod(step.shape)) for step in gates]


def verdicts(program, messages):
    """The least p-value of each message, corrected for how many there are in all."""
    tested = {}
    for key, values in messages.items():
        if key[1].endswith(".sign"):
            tested[key] = bit_p_values(values)
        elif key[1] == "output" and program.index_bits is not None:
            assert (values << np.uint64(program.index_bits) == 0).all()  # the other bits do not cross at all
            tested[key] = word_p_values(values, program.index_bits)
        else:
            tested[key] = word_p_values(values)
    total = sum(map(len, tested.values()))
    return {key: float(found.min()) * total for key, found in tested.items()}


CASES = [("residual", "class"), ("residual", "logits"), ("relu first", "class")]


def network(name):
    module, shape = networks.build(name)
    assert shape == FIXED.shape[1:]
    return module


@pytest.mark.parametrize(("name", "reveal"), CASES)
def test_everything_that_is_opened_is_uniform(name, reveal):
    program, messages = transcript(network(name), FIXED, reveal)
    ways = {way for way, _ in messages}
    assert ways == {"sent", "received", "opened"}
    names = {name for _, name in messages}
    assert {f"{step.name}.input" for step in program.products} <= names
    assert {f"{step.name}.sign" for step in program.compares if step != program.winner} <= names
    assert {f"{step.name}.masked" for step in semi_honest._gates(program)} <= names
    assert "output" in names
    found = verdicts(program, messages)
    assert {key: p for key, p in found.items() if p < FALSE_ALARM} == {}


@pytest.mark.parametrize(("name", "reveal"), CASES)
def test_without_masks_the_same_test_finds_every_message(monkeypatch, name, reveal):
    monkeypatch.setattr(semi_honest_preprocessing.Stream, "words", lambda _, *shape: np.zeros(shape, np.uint64))
    monkeypatch.setattr(semi_honest_preprocessing.Stream, "bits", lambda _, count: np.zeros(count, np.uint8))
    monkeypatch.setattr(
        semi_honest_preprocessing.secrets, "token_bytes", bytes
    )  # one key for the comparisons of all runs
    monkeypatch.setitem(globals(), "EXAMPLES", 64)  # one AES key for all lanes of a gate: two may cancel out
    program, messages = transcript(network(name), FIXED, reveal)
    found = verdicts(program, messages)
    assert {key: p for key, p in found.items() if p >= FALSE_ALARM} == {}


def test_masks_that_miss_one_bit_are_found(monkeypatch):
    """The test is sharp enough for the smallest mistake: a mask whose top bit is always clear."""
    whole = semi_honest_preprocessing.Stream.words
    monkeypatch.setattr(
        semi_honest_preprocessing.Stream, "words", lambda self, *shape: whole(self, *shape) >> np.uint64(1)
    )
    _, messages = transcript(network("residual"), FIXED, "class")
    words = messages["sent", "linear1.input"]
    assert word_p_values(words).min() < FALSE_ALARM


def test_the_opened_weights_are_uniform():
    module = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).eval()
    program, weights = parties.compiled(module, (16,))
    seen = []
    with parties.Trio(module, (16,)) as trio:
        messages = parties.observed(trio.link)
        for _ in range(150):
            trio.alice.prepare(trio.link)
            trio.alice.close()
        seen = [np.frombuffer(payload, np.uint64) for _, name, payload in messages if name == "mpc.weights"]
    opened = np.stack(seen)
    own = np.concatenate([words.ravel() for words in weight_words(program, weights)[0].values()])
    assert opened.shape == (150, own.size)
    assert not (opened == own).any()
    found = word_p_values(opened)
    assert found.min() * len(found) > FALSE_ALARM
    bare = word_p_values(np.repeat(own[None], 150, axis=0))
    assert bare.min() * len(bare) < FALSE_ALARM


def evaluations(module, shape, examples=1):
    """Both parties' evaluations of one fresh bundle, Alice's made first, and her link."""
    program, weights = parties.compiled(module, shape)
    masks = weight_masks(program, bytes(32))
    multipliers, biases = weight_words(program, weights)
    opened = {register: multipliers[register] + mask for register, mask in masks.items()}
    left, right = pair(timeout=2)
    alice, bob = (
        read_bundle(program, examples, party, data)
        for party, data in enumerate(make_bundle(program, examples, 3, masks))
    )
    return (
        AliceEvaluation(program, alice, left, opened),
        lambda bundle=bob: BobEvaluation(program, bundle, right, multipliers, biases),
        (program, masks, left, right),
    )


def test_a_bundle_is_not_run_twice():
    alice, make_bob, (_, _, left, right) = evaluations(*networks.build("two classes"))
    bob = make_bob()
    right.close()
    for party in (alice, bob):
        with pytest.raises(LinkError):
            party.run(np.zeros((1, 4), np.uint64))
        with raises_code(WrongState, "used-already"):
            party.run(np.zeros((1, 4), np.uint64))
    left.close()


def test_bundles_that_do_not_belong_together_are_noticed():
    _, make_bob, (program, masks, *_) = evaluations(*networks.build("two linears"))
    other = read_bundle(program, 1, 1, make_bundle(program, 1, 4, masks)[1])
    with raises_code(FrameError, "other-bundle"):
        make_bob(other)


def test_one_partys_bundle_is_no_use_to_the_other():
    program, _ = parties.compiled(*networks.build("two linears"))
    masks = weight_masks(program, bytes(32))
    for party, data in enumerate(make_bundle(program, 1, 0, masks)):
        with raises_code(FrameError, "wrong-length", match="does not fit the network"):
            read_bundle(program, 1, 1 - party, data)
    left, _right = pair()
    bob = read_bundle(program, 1, 1, make_bundle(program, 1, 0, masks)[1])
    with raises_code(BadType, "wrong-bundle"):
        AliceEvaluation(program, bob, left, masks)


def test_nothing_of_a_query_shows_in_a_repr():
    alice, make_bob, _ = evaluations(*networks.build("two classes"), examples=3)
    assert repr(alice) == "<AliceEvaluation of 3 examples>"
    assert repr(make_bob()) == "<BobEvaluation of 3 examples>"
    assert "array" not in repr(alice._bundle)
    assert "array" not in repr(next(iter(alice._bundle.products.values())))
