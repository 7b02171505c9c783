"""Sessions on masked words among strangers: any message damaged, missing, repeated or out of order ends in one line and
in time, and no bundle serves twice."""

import time
from collections import Counter

import masked_networks as networks
import masked_parties as parties
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.link import LinkError, LinkTimeout, encode, pair
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import VERSION, Hello, Query, RangesMessage
from sotto.mpc.protocols.semi_honest import evaluation as semi_honest
from sotto.mpc.protocols.semi_honest import session as semi_honest_session
from sotto.mpc.protocols.semi_honest.session import SemiHonestDealing
from tests.error_codes import raises_code

NAME = "residual"  # gates over products alone, over the input and a product, an argmax
WAIT = 0.5  # seconds a party waits for a message here
SHORT = 0.25  # where waiting in vain is the rule


def features(n=2, seed=5):
    return np.random.default_rng(seed).normal(size=(n, *networks.build(NAME)[1])).astype(np.float32)


def expected(x):
    with torch.no_grad():
        return networks.build(NAME)[0](torch.from_numpy(x)).numpy().argmax(axis=1)


def trio(**options):
    return parties.Trio(*networks.build(NAME), **options)


@pytest.fixture(scope="module")
def messages():
    """(sender, receiver, message name) of everything that is said in a set-up and a query, in no order."""
    with trio() as three:
        logs = {ends: parties.observed(link) for ends, link in three.links.items()}
        three.ask(features())
        said = {(*ends, name) for ends, seen in logs.items() for way, name, _ in seen if way == "sent"}
    return sorted(said)


DAMAGES = {
    "cut short": lambda name, payload: [(name, payload[:-1])],
    "made longer": lambda name, payload: [(name, bytes(payload) + b"\0")],
    "emptied": lambda name, payload: [(name, b"")],
    "renamed": lambda name, payload: [("mpc.other", payload)],
    "said twice": lambda name, payload: [(name, payload), (name, payload)],
    "left out": lambda name, payload: [],
    "made noise": lambda name, payload: [(name, b"\xc1" * len(payload))],
}


#: Messages of which not every byte string is a good one.
_SCHEMAS = {
    "mpc.hello", "mpc.plan", "mpc.ranges", "mpc.provision", "mpc.query", "mpc.masked",
    "dealer.join", "dealer.terms", "dealer.request",
}  # fmt: skip


def meddle(link, name, damage):
    """Let ``link`` send other things in place of its first message called ``name``."""
    queue, left = link._queue, [1]

    def instead(sent, payload):
        if sent != name or not left:
            queue(sent, payload)
            return
        left.clear()
        for changed in damage(sent, bytes(memoryview(payload).cast("B"))):
            queue(*changed)

    link._queue = instead
    return left


def test_every_message_is_known(messages):
    names = {name for *_, name in messages}
    assert {"mpc.hello", "mpc.plan", "mpc.ranges", "mpc.weights", "mpc.ready", "mpc.provision", "mpc.stocked"} <= names
    assert {"mpc.masked", "mpc.query", "output", "dealer.join", "dealer.terms", "dealer.request"} <= names
    assert {"dealer.session", "dealer.bundle", "linear1.input", "relu1.masked", "relu1.sign", "argmax.masked"} <= names


@pytest.mark.parametrize("damage", DAMAGES)
def test_any_message_damaged_ends_everybody_in_one_line_and_in_time(messages, damage):
    for sender, receiver, name in messages:
        if damage in ("cut short", "emptied", "made noise") and name in ("mpc.ready", "mpc.stocked"):
            continue  # they are empty
        if damage == "made noise" and name not in _SCHEMAS:
            continue  # any word is as good as another: this mode does not see lies, only misfits
        reached = False
        for wait in (SHORT, 20 * SHORT):  # a busy machine may time out before it comes to this message
            reached = reached or query_with(damage, sender, receiver, name, wait)
        assert reached, name


def query_with(damage, sender, receiver, name, wait):
    """Two queries, one message of them damaged; False when it did not come to that.  Nobody waits, nobody is wrong."""
    where, x = f"{sender} -> {receiver}: {name} {damage}", features()
    with trio(timeout=wait) as three:
        left = meddle(three.links[sender, receiver], name, DAMAGES[damage])
        started, said = time.monotonic(), []
        try:
            for _ in range(2):  # what comes too much is met by the next query
                assert (three.ask(x).labels == expected(x)).all(), where
        except (LinkError, mpc.MpcError) as error:
            said.append(str(error))
        endings = three.close()
    assert time.monotonic() - started < 4 * wait + 10, where
    assert set(endings) == {"bob", "dealer"}, where
    for who, error in endings.items():
        assert error is None or isinstance(error, LinkError | mpc.MpcError), (where, who, error)
        said += [] if error is None else [str(error)]
    assert damage == "said twice" or said, where
    assert all("\n" not in line and "internal error" not in line for line in said), (where, said)
    return not left


def bob_alone():
    """A Bob of this mode who has been greeted, Alice's end of his link, and his dealer's end."""
    module, shape = networks.build(NAME)
    to_dealer, dealer = pair(timeout=WAIT)
    bob = mpc.Bob(module, to_dealer, input_shape=shape, mode=parties.MODE, input_limit=8.0)
    alice, to_alice = pair(timeout=WAIT)
    dealer.send("dealer.session", bytes(32))
    alice.send("mpc.hello", encode(Hello(VERSION, parties.MODE, "class")))
    return bob, alice, to_alice, dealer


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("mpc.query", encode(Query(1)), "not-prepared"),
        ("mpc.query", encode(Query(0)), "bad-count"),
        ("mpc.query", encode(Query(-1)), "bad-count"),
        ("mpc.query", encode(Query(2**62)), "bad-count"),
        ("mpc.provision", encode(Query(2**62)), "bad-count"),
        ("mpc.provision", b"\xc1", "malformed"),
        ("linear1.input", bytes(8), "wrong-message"),
        ("mpc.masked", bytes(8), "wrong-message"),
    ],
)
def test_bob_takes_nothing_out_of_order(name, payload, said):
    bob, alice, to_alice, _dealer = bob_alone()
    alice.send(name, payload)
    with raises_code(LinkError, said) as refused:
        bob.answer(to_alice)
    assert "\n" not in str(refused.value)


def test_what_may_wait_is_bounded_in_bytes():
    three = trio()
    with three:
        three.alice.provision(three.link, 1)
        session = three.alice._session
        session._room = session._bytes(1) + session._bytes(2) - 1
        with raises_code(mpc.InputRefused, "no-room"):
            three.alice.provision(three.link, 2)
        assert len(three.alice.ask(features(1), three.link).labels) == 1
        three.alice.provision(three.link, 2)  # there is room again


def test_bob_bounds_what_waits_whatever_alice_does():
    three = trio()
    with three:
        three.alice.provision(three.link, 1)
        session = three.alice._session
        session._waiting = -(1 << 40)  # an Alice who does not count
        deadline = time.monotonic() + 20
        while three.bob._session is None and time.monotonic() < deadline:
            time.sleep(0.01)  # it lives again a moment after Alice has her answer
        three.bob._session._room = session._bytes(1)
        with raises_code(LinkError, "peer-gave-up", match="prepared ahead: ask fewer"):
            three.alice.provision(three.link, 2)


def test_a_peer_that_says_nothing_is_not_waited_for_longer_than_the_deadline():
    to_bob, _bob = pair(timeout=WAIT)
    to_dealer, _dealer = pair(timeout=WAIT)
    started = time.monotonic()
    with pytest.raises(LinkTimeout):
        mpc.Alice(to_dealer, mode=parties.MODE).ask(features(), to_bob)
    assert time.monotonic() - started < 4 * WAIT


@pytest.fixture
def ledger(monkeypatch):
    """(party, secret) of every bundle that is run; a bundle's secrets are its AES key and the masks it gives."""
    used = []
    run = semi_honest.Evaluation._run

    def noted(self, inputs):
        bundle = self._bundle
        masks = [share.r.tobytes() for share in bundle.gates.values() if len(share.r)]
        used.append((self.party, bundle.number, bundle.key, *masks))
        return run(self, inputs)

    monkeypatch.setattr(semi_honest.Evaluation, "_run", noted)
    return used


def test_no_bundle_serves_twice_across_queries_parts_failures_and_sessions(ledger, monkeypatch):
    monkeypatch.setattr("sotto.mpc.graph.program._ELEMENTS_BITS", 5)  # five examples a part
    with trio() as three:
        for n in (1, 1, 7, 3, 7):
            assert (three.ask(features(n)).labels == expected(features(n))).all()
        three.alice.provision(three.link, 2)
        three.alice.provision(three.link, 2)  # there is one already: nothing is fetched
        three.ask(features(2))
        first = len(ledger)
        three.alice.close()  # a new session on the same links: bundles of its own
        three.alice.provision(three.link, 4)
        three.ask(features(2))
        three.ask(features(4))
    assert first == 2 * 8
    assert len(ledger) == 2 * 10
    for party in (0, 1):
        own = [entry for entry in ledger if entry[0] == party]
        numbers = [number for _, number, *_ in own]
        assert sorted(numbers[:8]) == list(range(8))
        assert sorted(numbers[8:]) == [0, 1]
        for secrets_of_one in zip(*(entry[2:] for entry in own), strict=True):
            assert len(set(secrets_of_one)) == len(own)
    keys = Counter(key for _, _, key, *_ in ledger)
    assert set(keys.values()) == {2}  # each bundle once with Alice and once with Bob


def test_a_query_that_fails_takes_its_bundle_with_it(ledger):
    with trio(timeout=WAIT) as three:
        x = features()
        three.alice.provision(three.link, len(x))
        meddle(three.link, "relu1.sign", DAMAGES["cut short"])
        with pytest.raises(LinkError):
            three.ask(x)
        with raises_code(LinkError, "link-over"):
            three.ask(x)
        three.close()
    assert len(ledger) == 2


def test_an_answer_that_is_no_class_is_shown_with_a_warning_and_the_session_goes_on(monkeypatch):
    with parties.Trio(*networks.build("one class")) as three:
        x = np.zeros((1, 4), np.float32)
        assert three.ask(x).labels.tolist() == [0]
        run = semi_honest.AliceEvaluation.run
        monkeypatch.setattr(
            semi_honest.AliceEvaluation, "run", lambda self, words: run(self, words) | np.uint64(1 << 63)
        )
        answer = three.ask(x)
        assert answer.labels.tolist() == [-1]
        assert answer.warnings == ("1 of 1 labels are no class: bob's network is not what it says",)
        monkeypatch.undo()
        assert three.ask(x).labels.tolist() == [0]


def test_reprs_hold_no_secret():
    module, shape = networks.build(NAME)
    plan, _weights = trace(module, shape, input_limit=8.0)
    left, right = pair(timeout=WAIT)
    dealer, _dealer = pair(timeout=WAIT)
    right.send("mpc.ranges", encode(RangesMessage((4,) * (len(plan.layers) + 1))))
    program, _ = parties.compiled(module, shape)
    count = sum(int(np.prod(each.layer.parameters["weight"])) for each in program.products)
    right.send("mpc.weights", bytes(8 * count))
    session = semi_honest_session.SemiHonestSession(0, left, dealer, plan, None, "class")
    assert repr(session) == f"<SemiHonestSession over {left!r}>"
    assert repr(SemiHonestDealing(program, bytes(32))) == "<SemiHonestDealing>"
