"""Long messages in pieces: the same words whatever the pieces, and nothing that another program would send."""

import threading

import masked_networks as networks
import masked_parties
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.link import FrameError, LinkError, pair
from sotto.mpc.protocols import memory, pieces
from sotto.mpc.protocols.malicious import preprocessing as malicious_preprocessing
from sotto.mpc.protocols.malicious.segments import bundle_bytes
from sotto.mpc.protocols.pieces import Boxes, Reader
from sotto.mpc.protocols.semi_honest import preprocessing as semi_honest_preprocessing
from tests.error_codes import raises_code

SECRET = bytes(range(32))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1 << 12)


@pytest.fixture
def smaller(monkeypatch):
    monkeypatch.setattr(pieces, "PIECE_BYTES", 1 << 9)


def words(*counts):
    generator = np.random.default_rng(1)
    return [generator.integers(0, 1 << 64, count, np.uint64) for count in counts]


def test_what_is_sent_in_pieces_arrives_in_order(small):
    left, right = pair(timeout=5)
    sent = words(3, 600, 0, 512, 511, 5)
    sizes = []
    right.observer = lambda way, name, data: sizes.append(data.nbytes)
    threading.Thread(target=pieces.send, args=(left, "name", sent), daemon=True).start()
    reader = Reader(pieces.receive(right, "name", 8 * sum(map(len, sent))))
    assert all((reader.take(len(each)) == each).all() for each in sent)
    reader.end()
    assert sizes == [8 * 603, 8 * 512, 8 * 516]
    assert all(size >= pieces.PIECE_BYTES for size in sizes[:-1])


def test_nothing_is_a_message_too(small):
    left, right = pair(timeout=5)
    pieces.send(left, "name", [])
    Reader(pieces.receive(right, "name", 0)).end()


@pytest.mark.parametrize("parts", [[4096, 8], [4096], [4088, 4096], [4096, 4092]])
def test_other_sizes_are_refused(small, parts):
    left, right = pair(timeout=0.5)
    for part in parts:
        left.send("name", bytes(part))
    with pytest.raises(LinkError):
        list(pieces.receive(right, "name", 8192))


def test_an_array_that_a_piece_cuts_is_refused():
    reader = Reader([bytes(16), bytes(16)])
    assert reader.take(1).size == 1
    with pytest.raises(FrameError):
        reader.take(2)
    reader = Reader([bytes(16)])
    reader.take(1)
    with pytest.raises(FrameError):
        reader.end()
    with pytest.raises(FrameError):
        Reader([bytes(12)]).take(1)


def test_the_dealer_holds_no_bundle_as_a_whole(smaller, monkeypatch):
    program = masked_parties.compiled(*networks.build("mixed"))[0]
    masks = semi_honest_preprocessing.weight_masks(program, SECRET)
    held = []
    full = Boxes.full

    def observed(self):
        yield from full(self)
        held.append([box.size for box in self.each])

    monkeypatch.setattr(Boxes, "full", observed)
    made = list(semi_honest_preprocessing.make_pieces(program, 9, 4, masks))
    assert max(max(each) for each in held) < pieces.PIECE_BYTES
    for party in (0, 1):
        own = [piece for each, piece in made if each == party]
        assert len(own) > 1
        assert all(len(piece) >= pieces.PIECE_BYTES for piece in own[:-1])
        size = semi_honest_preprocessing.bundle_bytes(program, 9, party)
        assert sum(map(len, own)) == size
        read = semi_honest_preprocessing.read_bundle(program, 9, party, own)
        joined = semi_honest_preprocessing.read_bundle(program, 9, party, b"".join(own))
        assert all((read.gates[out].words == joined.gates[out].words).all() for out in read.gates)
        with pytest.raises(FrameError):
            semi_honest_preprocessing.read_bundle(program, 9, party, own[:-1])
        with pytest.raises(FrameError):
            semi_honest_preprocessing.read_bundle(program, 9, party, [*own, bytes(8)])


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
def test_a_query_whose_bundle_comes_in_pieces_has_the_same_answer(smaller, mode):
    module, shape = networks.build("mixed")
    x = np.random.default_rng(2).normal(size=(20, *shape)).astype(np.float32)
    with masked_parties.Trio(module, shape, mode=mode) as trio:
        seen = masked_parties.observed(trio.links["alice", "dealer"])
        answer = trio.ask(x)
        assert sum(name == "dealer.bundle" for _, name, _ in seen) > 1
    expected = module(torch.from_numpy(x)).argmax(1).numpy()
    assert (answer.labels == expected).mean() >= 0.95


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
def test_a_network_that_does_not_fit_is_refused_before_anything_is_dealt(monkeypatch, mode):
    monkeypatch.setattr(memory, "allowance", lambda: 1 << 12)
    module, shape = networks.build("mixed")
    with masked_parties.Trio(module, shape, mode=mode) as trio:
        with raises_code((LinkError, mpc.PlanError), "no-memory"):
            trio.alice.prepare(trio.link)
        assert not trio.links["alice", "dealer"].traffic.bytes_sent


def test_the_allowance_ends_at_the_processs_own_limit(monkeypatch):
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (memory.resource.RLIM_INFINITY,) * 2)
    free = memory.allowance()
    assert free > 0
    assert memory.shortage(2 * free, "it")
    assert memory.shortage(free // 2, "it") is None
    monkeypatch.setattr(memory.resource, "getrlimit", lambda _: (1 << 20, 1 << 20))
    assert memory.allowance() == 0  # more than that is held already


def test_sessions_openings_are_as_long_as_before():
    program = masked_parties.compiled(*networks.build("mixed"))[0]
    secret = malicious_preprocessing.SessionSecret.of(SECRET)
    masks = malicious_preprocessing.weight_masks(program, secret)
    sent = pieces.whole(malicious_preprocessing.session_pieces(program, secret))
    assert [len(each) for each in sent] == [malicious_preprocessing.session_bytes(program, party) for party in (0, 1)]
    _, own = malicious_preprocessing.make_bundle(program, 1, 0, secret, masks)
    assert len(own) == bundle_bytes(program, 1, 1)
