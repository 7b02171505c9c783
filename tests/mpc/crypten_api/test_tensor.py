"""Unchanged crypten.nn models on our tensor types: right answers, nothing done by CrypTen's protocols, refusals."""

import contextlib
import secrets
import threading

import crypten_networks as networks
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sotto import mpc
from sotto.link import LinkError, connect, listen, pair
from sotto.mpc.crypten.communicator import LinkCommunicator
from sotto.mpc.crypten_api.tensor import ALICE, BOB, Party, SemiHonestTensor, stock_shares
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code
from tests.scripts import Script

crypten, nn = networks.crypten, networks.nn
NAMES = list(networks.INPUT_SHAPES)


building = threading.Lock()  # seeds are torch's own, one for all threads


def build(name, **options):
    with building:
        return networks.build(name, **options)


def in_clear(name, x):
    with building:
        return networks.in_clear(name, x)


def example_input(name, n, seed=0):
    generator = np.random.default_rng(seed)
    return torch.from_numpy(generator.normal(size=(n, *networks.INPUT_SHAPES[name])).astype(np.float32))


class Others:
    """A dealer and Bob in threads; Alice's links to them, and how Bob's lines ended."""

    def __init__(self, mode, lines, limit=8.0):
        self.dealer, for_alice = pair(timeout=30)
        dealer_of_bob, for_bob = pair(timeout=30)
        self.link, for_peer = pair(timeout=30)
        self.ending = None
        self._links = [self.link, for_peer, self.dealer, for_alice, dealer_of_bob, for_bob]

        def bob():
            try:
                with Party(BOB, for_peer, dealer_of_bob, mode=mode, input_limit=limit):
                    self.ending = lines()
            except Exception as error:
                self.ending = error

        def deal():
            with contextlib.suppress(LinkError):
                mpc.Dealer(mode=mode).serve(for_alice, for_bob)

        self._threads = [threading.Thread(target=work, daemon=True) for work in (bob, deal)]
        for thread in self._threads:
            thread.start()

    def party(self, mode="semi-honest", limit=8.0):
        return Party(ALICE, self.link, self.dealer, mode=mode, input_limit=limit)

    def wait(self):
        self._threads[0].join(30)
        assert not self._threads[0].is_alive()
        return self.ending

    def close(self):
        for link in self._links:
            link.close()


@pytest.fixture
def others():
    started = []

    def start(*arguments, **options):
        started.append(Others(*arguments, **options))
        return started[-1]

    yield start
    for one in started:
        one.close()


def opened(model, x, *, classes=False):
    model.encrypt(src=BOB)
    result = model(crypten.cryptensor(x, src=ALICE))
    return (result.argmax(dim=1, one_hot=False) if classes else result).get_plain_text(dst=ALICE)


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
@pytest.mark.parametrize("name", NAMES)
def test_an_unchanged_model_answers_as_in_clear(others, name, mode):
    x = example_input(name, 3)

    def lines():
        model = build(name)
        blank = torch.zeros_like(x)
        return [opened(model, blank), opened(model, blank), opened(model, blank, classes=True)]

    bob = others(mode, lines)
    stranger = build(name, seed=31)  # Alice has the shapes, not the weights
    with bob.party(mode):
        logits, again, classes = opened(stranger, x), opened(stranger, x), opened(stranger, x, classes=True)
    expected = in_clear(name, x)
    assert logits.dtype == torch.float32
    assert (logits - expected).abs().max() < 2e-3
    assert (again - expected).abs().max() < 2e-3
    assert classes.dtype == torch.int64
    assert torch.equal(classes, expected.argmax(1))
    assert [len(nothing) for nothing in bob.wait()] == [0, 0, 0]


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
@pytest.mark.parametrize(
    ("make", "outputs", "expected"),
    [
        (lambda: nn.MaxPool2d(2, stride=2, padding=1), 18, lambda x: F.max_pool2d(x, 2, stride=2, padding=1)),
        (lambda: nn.AvgPool2d(3, stride=2, ceil_mode=True), 8, lambda x: F.avg_pool2d(x, 3, stride=2, ceil_mode=True)),
    ],
)
def test_windows_that_reach_over_the_edge_answer_as_in_clear(others, mode, make, outputs, expected):
    weight = torch.randn(3, outputs, generator=torch.Generator().manual_seed(2))

    def model():
        head = nn.Linear(outputs, 3, bias=False)
        head.set_parameter("weight", weight.clone())
        return nn.Sequential(make(), nn.Flatten(), head).eval()

    x = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    bob = others(mode, lambda: opened(model(), torch.zeros_like(x)))
    with bob.party(mode):
        logits = opened(model(), x)
    assert (logits - expected(x).flatten(1) @ weight.T).abs().max() < 2e-3
    bob.wait()


def test_bob_in_another_process_answers_as_in_clear():
    x = example_input("residual", 4)
    dealer_link, for_alice = pair(timeout=60)
    with listen() as for_bob:
        arguments = ["semi-honest", str(for_bob.address[1]), "residual", str(len(x))]
        bob = Script(networks.__file__, *arguments)
        dealer_of_bob = for_bob.accept(timeout=60, peer="bob")
    dealer = threading.Thread(target=mpc.Dealer(mode="semi-honest").serve, args=(for_alice, dealer_of_bob))
    dealer.start()
    model = build("residual", seed=31)
    with connect("127.0.0.1", int(bob.stdout.readline()), peer="bob", timeout=60) as link:
        with Party(ALICE, link, dealer_link, mode="semi-honest", input_limit=8.0):
            logits, classes = opened(model, x), opened(model, x, classes=True)
        _, said = bob.communicate(timeout=60)
    dealer_link.close()
    dealer.join(20)
    assert (bob.returncode, said) == (0, "")
    expected = in_clear("residual", x)
    assert (logits - expected).abs().max() < 2e-3
    assert torch.equal(classes, expected.argmax(1))


def test_nothing_is_sent_before_the_result_is_opened(others):
    bob = others("semi-honest", lambda: build("one_axis").encrypt(src=BOB) and None)
    x = example_input("one_axis", 2)
    before = bob.link.traffic.snapshot(), bob.dealer.traffic.snapshot()
    with bob.party():
        model = build("one_axis").encrypt(src=BOB)
        result = model(crypten.cryptensor(x, src=ALICE))
        assert result.size() == (2, 5)
        assert (bob.link.traffic.snapshot(), bob.dealer.traffic.snapshot()) == before
    assert bob.wait() is None


def test_no_secret_is_shown(others):
    bob = others("semi-honest", lambda: None)
    x = torch.full((2, 2, 8), 3.25)
    with bob.party():
        assert "3.25" not in repr(crypten.cryptensor(x, src=ALICE))
        weight = crypten.cryptensor(x, src=BOB)
        assert weight._weight.is_meta  # Alice's copy of Bob's model is shapes only
        with raises_code(mpc.ModelRefused, "weight-opened"):
            weight.get_plain_text()


REFUSED = {
    "sigmoid": lambda x, w: x.sigmoid(),
    "mul": lambda x, w: x * x,
    "sub": lambda x, w: x - x,
    "div": lambda x, w: x / 2,
    "gt": lambda x, w: x.gt(0),
    "exp": lambda x, w: x.exp(),
    "softmax": lambda x, w: nn.Softmax(1).encrypt()(x),
    "hardtanh": lambda x, w: nn.Hardtanh().encrypt()(x),
    "transpose": lambda x, w: x.transpose(1, 2),
    "permute": lambda x, w: x.permute(0, 2, 1),
    "sum": lambda x, w: x.sum(1),
    "stack": lambda x, w: crypten.stack([x, x]),
    "__getitem__": lambda x, w: x[0],
    "relu_": lambda x, w: x.relu_(),
    "backward": lambda x, w: x.backward(),
    "rand": lambda x, w: x.rand(2),
    "reshape": lambda x, w: x.view(8, -1),
    "cat": lambda x, w: crypten.cat([x, x], dim=0),
    "add": lambda x, w: x + 1.0,
    "argmax": lambda x, w: x.flatten(1).argmax(),
    "conv1d": lambda x, w: x.conv1d(torch.ones(2, 2, 3)),  # in clear
    "conv2d": lambda x, w: x.conv2d(w),
    "matmul": lambda x, w: x.matmul(w),
    "dropout": lambda x, w: nn.Dropout().encrypt()(x),  # still in training mode
    "batchnorm": lambda x, w: nn.BatchNorm1d(2).encrypt(src=BOB)(x),
}


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("rank", [ALICE, BOB])
def test_what_is_not_supported_is_refused_by_its_name(name, rank):
    link, _peer = pair()
    before = link.traffic.snapshot()
    with Party(rank, link, link):
        x = crypten.cryptensor(torch.ones(2, 2, 8), src=ALICE)
        weight = crypten.cryptensor(torch.ones(3, 2, 4), src=BOB)
        with raises_code(mpc.ModelRefused, ("does-not-fit", "mixes-batch", "no-such-operation")) as refusal:
            REFUSED[name](x, weight)
    assert "\n" not in str(refusal.value)
    assert link.traffic.snapshot() == before


def test_what_the_plan_cannot_hold_is_refused_before_anything_is_sent():
    link, _peer = pair()
    before = link.traffic.snapshot()
    x = torch.ones(2, 2, 4, 4)
    with Party(ALICE, link, link), raises_code(mpc.ModelRefused, "no-plan", match="no vector of logits"):
        opened(nn.ReLU().eval(), x)
    with Party(ALICE, link, link), raises_code(mpc.ModelRefused, "two-inputs"):
        crypten.cryptensor(x, src=ALICE) + crypten.cryptensor(x, src=ALICE)
    with Party(ALICE, link, link), raises_code(mpc.ModelRefused, "opened-to-bob"):
        crypten.cryptensor(x, src=ALICE).get_plain_text()
    assert link.traffic.snapshot() == before


def test_another_model_at_bob_is_noticed(others):
    x = example_input("sequential", 2)

    def lines():
        model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()
        return opened(model, torch.zeros_like(x))

    bob = others("semi-honest", lines)
    with bob.party(), raises_code(mpc.ProtocolError, "other-model"):
        opened(build("sequential"), x)
    assert "alice runs another model" in str(bob.wait())


def test_other_weights_in_one_session_are_refused(others):
    x = example_input("sequential", 2)

    def lines():
        opened(build("sequential"), torch.zeros_like(x))
        with raises_code(mpc.ModelRefused, "weights-changed"):
            opened(build("sequential", seed=5), torch.zeros_like(x))
        return "refused"

    bob = others("semi-honest", lines)
    with bob.party():
        opened(build("sequential"), x)
    assert bob.wait() == "refused"


def test_features_beyond_the_limit_are_clipped_with_a_warning_and_the_session_goes_on(others, caplog):
    x = example_input("sequential", 2)

    def lines():
        model = build("sequential")
        opened(model, torch.zeros_like(x))
        return opened(model, torch.zeros_like(x))

    bob = others("semi-honest", lines)
    with bob.party():
        model = build("sequential")
        opened(model, x * 1e9)
        assert "were clipped" in caplog.text
        assert (opened(model, x) - in_clear("sequential", x)).abs().max() < 2e-3
    assert len(bob.wait()) == 0


def test_the_types_are_crypten_s_and_the_default_comes_back(others):
    before = crypten.get_default_cryptensor_type()
    link, _peer = pair()
    x = torch.ones(2, 3)
    with Party(ALICE, link, link, mode="semi-honest"):
        assert isinstance(crypten.cryptensor(x, src=ALICE), SemiHonestTensor)
        assert crypten.is_encrypted_tensor(crypten.cryptensor(x, src=ALICE))
    with Party(ALICE, link, link, mode="malicious"):
        assert crypten.get_cryptensor_type(crypten.cryptensor(x, src=ALICE)) == "malicious"
        with raises_code(mpc.MpcError, "wrong-mode"):
            crypten.cryptensor(x, src=ALICE, cryptensor_type="semi-honest")
    assert crypten.get_default_cryptensor_type() == before
    with raises_code(mpc.MpcError, "wrong-mode"):
        crypten.cryptensor(x, src=ALICE, cryptensor_type="semi-honest")


def test_our_shares_are_stock_crypten_shares(monkeypatch):
    link, _peer = pair()
    monkeypatch.setattr(crypten.comm, "get", lambda: LinkCommunicator(ALICE, link))  # crypten.init() wants gloo
    for name in crypten.generators:
        monkeypatch.setitem(crypten.generators, name, {torch.device("cpu"): torch.Generator()})
    values = torch.tensor([[-3.5, 0.0, 2.0**-16], [1000.25, -0.75, 8.0]])
    words = ring.encode(values.numpy())
    own = np.frombuffer(secrets.token_bytes(words.nbytes), np.uint64).reshape(words.shape)
    alice, bob = stock_shares(own), stock_shares(words - own)
    assert isinstance(alice, crypten.mpc.MPCTensor)
    decode = alice._tensor.encoder.decode
    assert torch.equal(decode(alice.share + bob.share), values)
    tripled = (alice * 3).share + (bob * 3).share  # CrypTen's own arithmetic on our shares
    assert torch.equal(decode(tripled), 3 * values)
