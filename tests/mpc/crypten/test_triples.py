"""The dealer's triples are right, its requests are checked, its seeds are fresh."""

import threading

import msgspec
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sotto.link import FrameError, WrongState, encode, pair
from sotto.mpc.crypten.communicator import tensor_of
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.crypten.triples import REQUEST_BYTES, Request, TripleClient, TripleServer
from sotto.mpc.graph.layers import MAX_ELEMENTS
from tests.error_codes import raises_code

rng = load_crypten().common.rng


@pytest.fixture
def dealt():
    """Both clients of a server that answers party 0 in a thread."""
    alice, for_alice = pair(timeout=10)
    bob, for_bob = pair(timeout=10)
    server = TripleServer((for_alice, for_bob))
    clients = TripleClient(0, alice), TripleClient(1, bob)

    def serve():
        while True:
            try:
                payload = for_alice.receive("dealer.request", limit=REQUEST_BYTES)
            except Exception:
                return
            for_alice.send("dealer.correction", server.correction(payload))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield clients
    alice.close()
    thread.join(5)


def shared(clients, shape, bits=None):
    """Every party's share of a random tensor, as CrypTen draws it."""
    return [rng.generate_kbit_random_tensor(shape, bitlength=bits, generator=c.get_generator()) for c in clients]


PRODUCTS = [
    ("mul", (2, 3), (3,), {}),
    ("mul", (2, 1, 3), (4, 1), {}),
    ("matmul", (2, 5), (5, 3), {}),
    ("matmul", (4, 2, 5), (5, 3), {}),
    ("conv1d", (2, 3, 11), (4, 3, 5), {"stride": 2, "padding": 2, "dilation": 1, "groups": 1}),
    ("conv1d", (1, 4, 9), (6, 2, 3), {"stride": 1, "padding": 0, "dilation": 2, "groups": 2}),
    ("conv2d", (2, 3, 6, 7), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2), "groups": 1}),
]


@pytest.mark.parametrize(("operation", "left", "right", "options"), PRODUCTS)
def test_products(dealt, operation, left, right, options):
    a, b = sum(shared(dealt, left)), sum(shared(dealt, right))
    expected = getattr(torch, operation)(a, b, **options)
    c0 = dealt[0].ttp_request("additive", None, torch.Size(left), torch.Size(right), operation, **options)
    c1 = rng.generate_random_ring_element(expected.shape, generator=dealt[1].get_generator())
    assert torch.equal(c0 + c1, expected)


def test_and_square_and_bits(dealt):
    (a0, a1), (b0, b1) = shared(dealt, (5, 2)), shared(dealt, (2,))
    c0 = dealt[0].ttp_request("binary", None, (5, 2), (2,))
    c1 = rng.generate_kbit_random_tensor((5, 2), generator=dealt[1].get_generator())
    assert torch.equal(c0 ^ c1, (a0 ^ a1) & (b0 ^ b1))

    r = sum(shared(dealt, (7,)))
    c0 = dealt[0].ttp_request("square", None, (7,))
    c1 = rng.generate_random_ring_element((7,), generator=dealt[1].get_generator())
    assert torch.equal(c0 + c1, r * r)

    r0, r1 = shared(dealt, (64,), bits=1)
    c0 = dealt[0].ttp_request("B2A", None, (64,))
    c1 = rng.generate_random_ring_element((64,), generator=dealt[1].get_generator())
    assert torch.equal(c0 + c1, r0 ^ r1)
    assert set((c0 + c1).tolist()) == {0, 1}


def test_seeds_differ_between_parties_and_between_dealers():
    seeds = set()
    for _ in range(4):
        links = [pair(timeout=5) for _ in range(2)]
        TripleServer((links[0][1], links[1][1]))
        seeds |= {bytes(ours.receive("dealer.seed", limit=8)) for ours, _ in links}
    assert len(seeds) == 8


@pytest.fixture(scope="module")
def server():
    links = [pair() for _ in range(2)]
    yield TripleServer((links[0][1], links[1][1]))
    links.clear()


HUGE = MAX_ELEMENTS + 1
WRONG = [
    {"function": "additive", "shapes": [[2]]},
    {"function": "additive", "shapes": [[2], [2]]},
    {"function": "additive", "shapes": [[2], [2]], "operation": "system"},
    {"function": "additive", "shapes": [[2], [3]], "operation": "mul"},
    {"function": "additive", "shapes": [[2, 2], [3, 2]], "operation": "matmul"},
    {"function": "additive", "shapes": [[2], [2]], "operation": "matmul"},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d"},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 3, 3]], "operation": "conv1d", "options": {}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 9]], "operation": "conv1d", "options": {}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv2d", "options": {}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d", "options": {"stride": 0}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d", "options": {"groups": [1, 1]}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d", "options": {"groups": 0}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d", "options": {"out": 1}},
    {"function": "additive", "shapes": [[2], [2]], "operation": "mul", "options": {"stride": 1}},
    {"function": "additive", "shapes": [[1, 2, 8], [4, 2, 3]], "operation": "conv1d", "options": {"padding": 2**40}},
    {"function": "additive", "shapes": [[8192, 1], [1, 8193]], "operation": "matmul"},
    {"function": "additive", "shapes": [[2**26], [HUGE]], "operation": "mul"},
    {"function": "additive", "shapes": [[2**12, 2**12], [2**12, 2**12]], "operation": "matmul"},
    {"function": "square", "shapes": [[HUGE]]},
    {"function": "square", "shapes": [[2**20, 2**20]]},
    {"function": "square", "shapes": [[-1]]},
    {"function": "square", "shapes": [[2], [2]]},
    {"function": "square", "shapes": []},
    {"function": "binary", "shapes": [[2], [3]]},
    {"function": "binary", "shapes": [[2], [2]], "operation": "mul"},
    {"function": "_get_generators", "shapes": []},
    {"function": "square", "shapes": [[1] * 20]},
    {"function": "square", "shapes": [[2]], "device": "cuda"},
]


@pytest.mark.parametrize("request_", WRONG)
def test_a_request_that_does_not_fit_is_refused_before_anything_is_allocated(server, request_):
    with pytest.raises(FrameError) as refused:
        server.correction(bytearray(msgspec.msgpack.encode(request_)))
    assert "\n" not in str(refused.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.binary(max_size=40), st.integers(0, 60))
def test_noise_is_refused(server, noise, place):
    payload = bytearray(encode(Request("additive", ((2, 3), (3, 4)), "matmul")))
    payload[place : place + len(noise)] = noise
    try:
        answer = server.correction(payload)
    except FrameError:
        return
    assert len(bytearray(answer)) % 8 == 0


def test_a_correction_of_another_size_is_refused():
    alice, dealer = pair(timeout=2)
    dealer.send("dealer.seed", bytes(8))
    client = TripleClient(0, alice)
    for payload in (bytes(16), bytes(32)):
        dealer.send("dealer.correction", payload)
        with pytest.raises(FrameError):
            client.ttp_request("square", None, (3,))


def test_without_a_dealer_there_is_no_client():
    with raises_code(WrongState, "no-dealer"):
        TripleClient.get()


def test_corrections_have_the_shape_that_was_asked_for(server):
    payload = server.correction(bytearray(encode(Request("square", ((2, 3),)))))
    assert tensor_of(bytearray(payload), (2, 3)).shape == (2, 3)
