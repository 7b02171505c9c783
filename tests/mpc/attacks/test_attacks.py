"""What a party sees is uniform; what it can work out from that all the same; what a cheating Bob gets away with."""

import math

import networks
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sotto.mpc.attacks import recover_features, recover_weights, run_parties, search_seed
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.errors import MpcError
from tests.error_codes import raises_code

QUERIES = 12
SHAPE = (40,)
FEATURES = np.random.default_rng(7).normal(size=(1, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def run():
    """One session, the same features again and again, everything recorded."""
    return run_parties(networks.build("depinto"), SHAPE, [FEATURES] * QUERIES, recorded=QUERIES)


def received(run, party, name):
    """Words of every message ``name`` that ``party`` received: one list of messages for each query."""
    queries = []
    for way, found, payload in run.transcripts[party]["peer"]:
        if found == "mpc.query":
            queries.append([])
        elif queries and (way, found) == ("received", name):
            queries[-1].append(np.frombuffer(payload, "<u8"))
    return queries


def chi_squared_bound(cells):
    """A value that chi-squared with ``cells`` cells exceeds once in about 10^9 runs (Wilson and Hilferty 1931)."""
    free = cells - 1
    return free * (1 - 2 / (9 * free) + 6.0 * math.sqrt(2 / (9 * free))) ** 3


def chi_squared(values, cells):
    counts = np.bincount(values, minlength=cells)
    expected = len(values) / cells
    return ((counts - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("party", ["alice", "bob"])
def test_opened_words_are_uniform_whatever_the_input(run, party):
    queries = received(run, party, "crypten.all_reduce")
    assert len(queries) == QUERIES
    assert len({len(messages) for messages in queries}) == 1
    checked = 0
    for number, messages in enumerate(zip(*queries, strict=True)):
        words = np.concatenate(messages)
        if words.max() <= 1:
            if len(words) >= 1000:
                assert chi_squared(words.astype(np.int64), 2) < chi_squared_bound(2), number
                checked += 1
            continue
        octets = words.view(np.uint8).reshape(-1, 8)
        if len(octets) >= 2000:
            for place in range(8):
                assert chi_squared(octets[:, place].astype(np.int64), 256) < chi_squared_bound(256), (number, place)
                checked += 1
    assert checked > 50


def test_one_fixed_input_gives_bob_other_words_every_time(run):
    first = [messages[0][: FEATURES.size] for messages in received(run, "bob", "crypten.all_reduce")]
    words = np.concatenate(first)
    assert len(set(words.tolist())) == len(words)
    octets = words.view(np.uint8).astype(np.int64)
    assert chi_squared(octets, 256) < chi_squared_bound(256)


def test_alices_features_are_in_nothing_that_bob_receives(run):
    encodings = {int(value) for value in (FEATURES * 2**16).astype(np.int64).ravel()}
    forbidden = {value % 2**64 for value in encodings} | {-value % 2**64 for value in encodings}
    for where in ("peer", "dealer"):
        for way, name, payload in run.transcripts["bob"][where]:
            if way == "received" and name.startswith("crypten.") and len(payload) > 8:
                words = np.frombuffer(payload, "<u8")
                assert not forbidden & set(words.tolist()), name
    everything = b"".join(payload for way, _, payload in run.transcripts["bob"]["peer"] if way == "received")
    plain = FEATURES.ravel().astype("<f4")
    assert not any(plain[n : n + 2].tobytes() in everything for n in range(len(plain) - 1))


def test_bobs_weights_are_in_nothing_that_alice_receives(run):
    weights = torch.cat([value.flatten() for value in networks.build("depinto").state_dict().values()])
    encodings = (weights * 2**16).long().numpy()
    forbidden = np.unique(np.concatenate([encodings, -encodings])[np.abs(np.tile(encodings, 2)) > 1]).view(np.uint64)
    for where in ("peer", "dealer"):
        for way, name, payload in run.transcripts["alice"][where]:
            if way == "received" and len(payload) > 8 and name.startswith(("crypten.", "dealer.")):
                assert not np.isin(np.frombuffer(payload, "<u8"), forbidden).any(), name


def test_bob_receives_no_answer(run):
    assert received(run, "bob", "crypten.reduce") == [[] for _ in range(QUERIES)]
    assert [len(messages) for messages in received(run, "alice", "crypten.reduce")] == [1] * QUERIES


def test_the_answers_are_the_plaintext_networks(run):
    with torch.no_grad():
        expected = networks.build("depinto")(torch.from_numpy(FEATURES)).argmax(1).item()
    assert [int(answer.labels[0]) for answer in run.answers] == [expected] * QUERIES


def seed_of(run, party):
    """The 32 bits that torch keeps of the party's seed; the tests use them to place a short search, nothing else."""
    (seed,) = [payload for _, name, payload in run.transcripts[party]["dealer"] if name == "dealer.seed"]
    return int.from_bytes(seed, "little") % 2**32


def around(seed, width=1 << 20):
    return range(max(0, seed - width), min(1 << 32, seed + 10))


def test_an_honest_bob_reads_alices_features_out_of_his_transcript(run):
    found = recover_features(run, (1, *SHAPE), seeds=around(seed_of(run, "alice")))
    assert np.abs(found.values - FEATURES).max() < 2**-15
    assert found.seeds_tried > 1


def test_an_honest_alice_reads_bobs_first_weights_out_of_hers(run):
    weight = networks.build("depinto").conv.weight.detach().numpy()
    found = recover_weights(run, (1, *SHAPE), weight.shape, seeds=around(seed_of(run, "bob")))
    assert np.abs(found.values - weight).max() < 2**-15


def test_no_seed_is_found_where_it_is_not(run):
    seed = seed_of(run, "alice")
    elsewhere = range(0, 1 << 18) if seed >= 1 << 18 else range(1 << 31, (1 << 31) + (1 << 18))
    assert recover_features(run, (1, *SHAPE), seeds=elsewhere) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 113), st.integers(-(2**22), 2**22), st.integers(0, 2**32 - 1))
def test_the_search_finds_any_seed_at_any_place(seed, first, value, high_bits):
    generator = torch.Generator().manual_seed(seed + ((high_bits << 32) % 2**63))
    drawn = load_crypten().common.rng.generate_random_ring_element((first + 3,), generator=generator)
    masks = drawn.numpy().view(np.uint64)[first:]
    masked = np.array([value, -value, value // 2]).astype(np.int64).view(np.uint64) - masks
    found = search_seed(masked, first=first, largest=64.0, seeds=range(seed - min(seed, 5000), seed + 1))
    assert found is not None
    assert found[0] == seed


def test_the_search_says_where_it_ends(run):
    with raises_code(MpcError, "out-of-reach", match="up to the 113th"):
        search_seed(np.zeros(1, np.uint64), first=114, largest=1.0)
    empty = run_parties(nn.Linear(2, 2), (2,), [])
    with raises_code(MpcError, "no-transcript"):
        recover_features(empty, (1, 2))


@pytest.mark.parametrize("classes", [1, 2])
def test_few_classes(classes):
    linear = nn.Linear(2, classes)
    run = run_parties(linear, (2,), [np.ones((3, 2))])
    with torch.no_grad():
        assert (run.answers[0].labels == linear(torch.ones(3, 2)).argmax(1).numpy()).all()


def test_a_party_that_fails_says_why():
    with raises_code(MpcError, "failed", match=r"bob: mode 'crypten' has no gelu: use mode"):
        run_parties(nn.Sequential(nn.Linear(2, 2), nn.GELU()), (2,), [np.ones((1, 2))])
