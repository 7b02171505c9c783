"""CrypTen's collectives over links: right results, checked sizes, nothing pickled."""

import contextlib
import threading

import pytest
import torch
from torch.distributed import ReduceOp

from sotto.link import BadType, BadValue, FrameError, LinkClosed, LinkTimeout, pair
from sotto.mpc.crypten.communicator import LinkCommunicator, tensor_of, words_of
from tests.error_codes import raises_code


def both(action, timeout=10.0):
    """What ``action(communicator)`` gives party 0 and party 1, run at the same time."""
    links = pair(timeout=timeout)
    results = [None, None]

    def run(rank):
        results[rank] = action(LinkCommunicator(rank, links[rank]))

    threads = [threading.Thread(target=run, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    return results


def own(communicator, *shape):
    """A tensor that differs between the parties, negative numbers and the ring's edge included."""
    count = int(torch.tensor(shape).prod())
    return torch.arange(-2, count - 2).reshape(shape) * 3**communicator.rank + communicator.rank * (2**63 - 1)


@pytest.mark.parametrize("op", [ReduceOp.SUM, ReduceOp.BXOR])
@pytest.mark.parametrize("shape", [(2, 3), (1,), (), (0, 4)])
def test_both_parties_get_the_sum_or_the_exclusive_or(op, shape):
    def action(party):
        mine = own(party, *shape)
        return mine.clone(), mine, party.all_reduce(mine, op=op)

    (before0, after0, r0), (before1, after1, r1) = both(action)
    expected = before0 + before1 if op == ReduceOp.SUM else before0 ^ before1
    assert torch.equal(r0, expected)
    assert torch.equal(r1, expected)
    assert torch.equal(before0, after0)
    assert torch.equal(before1, after1)
    assert r0.shape == torch.Size(shape)


def test_a_batch_of_tensors_is_one_message_each_way():
    def action(party):
        tensors = [own(party, 4), own(party, 2, 2).t(), own(party, 3)[::2]]
        summed = party.all_reduce(tensors, batched=True)
        return tensors, summed, party.reduce(tensors, 1, batched=True), party.link.traffic

    (t0, s0, none, traffic), (t1, s1, reduced, _) = both(action)
    for a, b, x, y, z in zip(t0, t1, s0, s1, reduced, strict=True):
        assert torch.equal(a + b, x)
        assert torch.equal(x, y)
        assert torch.equal(x, z)
    assert none is None
    assert (traffic.messages_sent, traffic.messages_received) == (2, 1)


def test_large_tensors_cross_without_blocking_one_another():
    def action(party):
        return party.all_reduce(torch.full((1 << 20,), 1 + party.rank))

    zero, one = both(action)
    assert torch.equal(zero, torch.full((1 << 20,), 3))
    assert torch.equal(zero, one)


def test_the_other_messages():
    def action(party):
        mine = own(party, 3)
        received = torch.zeros(3, dtype=torch.long)
        request = party.irecv(received, src=1 - party.rank)
        party.isend(mine, 1 - party.rank).wait()
        request.wait()
        spread = own(party, 3)
        party.broadcast(spread, 1)
        return {"received": received, "reduced": party.reduce(mine, 0), "spread": spread, "mine": mine}

    zero, one = both(action)
    assert torch.equal(zero["received"], one["mine"])
    assert torch.equal(one["received"], zero["mine"])
    assert torch.equal(zero["reduced"], zero["mine"] + one["mine"])
    assert one["reduced"] is None
    assert torch.equal(zero["spread"], one["mine"])


def party(rank=0):
    ours, theirs = pair(timeout=0.3)
    return LinkCommunicator(rank, ours), theirs


@pytest.mark.parametrize("size", [0, 8, 23, 32, 1 << 20])
def test_a_tensor_of_another_size_is_refused(size):
    communicator, peer = party()

    def send():
        with contextlib.suppress(LinkClosed):
            peer.send("crypten.all_reduce", bytes(size))

    threading.Thread(target=send, daemon=True).start()
    with raises_code(FrameError, "other-shape" if size < 24 else "too-large"):
        communicator.all_reduce(torch.zeros(3, dtype=torch.long))


def test_every_wait_ends():
    communicator, _peer = party()
    with pytest.raises(LinkTimeout):
        communicator.all_reduce(torch.zeros(3, dtype=torch.long))
    communicator, _peer = party()
    with pytest.raises(LinkTimeout):
        communicator.irecv(torch.zeros(3, dtype=torch.long), 1).wait()


def test_only_words_go_over_the_link_and_never_objects():
    communicator, _peer = party()
    for tensor in (torch.zeros(3), torch.zeros(3, dtype=torch.int32)):
        with raises_code(BadType, "wrong-dtype"):
            communicator.isend(tensor, 1)
    for refused in (lambda: communicator.send_obj("terminate", 1), lambda: communicator.recv_obj(1)):
        with pytest.raises(NotImplementedError):
            refused()


def test_misuse_is_an_error_of_one_line():
    communicator, _peer = party(1)
    assert (communicator.get_rank(), communicator.get_world_size()) == (1, 2)
    with raises_code(BadValue, "wrong-rank"):
        party(2)
    with raises_code(BadValue, "wrong-rank"):
        communicator.isend(torch.zeros(1, dtype=torch.long), 1)
    with raises_code(BadType, "not-a-list"):
        communicator.all_reduce([torch.zeros(1, dtype=torch.long)])


def test_products_are_refused():
    def action(party):
        with raises_code(BadValue, "unknown-operation"):
            party.all_reduce(torch.zeros(1, dtype=torch.long), op=ReduceOp.PRODUCT)
        return True

    assert both(action) == [True, True]


def test_words_are_little_endian_and_their_count_is_checked():
    payload = bytearray(words_of(torch.tensor([[1, -1], [2**62, 0]])))
    assert payload[:9] == b"\x01" + bytes(7) + b"\xff"
    assert torch.equal(tensor_of(payload, (4,)), torch.tensor([1, -1, 2**62, 0]))
    with pytest.raises(FrameError):
        tensor_of(payload, (3,))
