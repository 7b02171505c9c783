"""The dealer's loop: both parties must want the same, and each bundle goes out once under a number of its own."""

import threading

import masked_networks as networks
import masked_parties as parties
import pytest

from sotto import mpc
from sotto.link import LinkError, PeerError, encode, pair
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.layers import Linear
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import JOIN_LIMIT, VERSION, Join, Query, Terms
from sotto.mpc.protocols.semi_honest.preprocessing import SEED_BYTES, bundle_bytes

WAIT = 3.0


class Desk:
    """A dealer in a thread and both ends that he listens to."""

    def __init__(self, idle=WAIT):
        self.alice, for_alice = pair(timeout=WAIT)
        self.bob, for_bob = pair(timeout=WAIT)
        self.ending = []
        dealer = mpc.Dealer(mode=parties.MODE, idle_timeout=idle)

        def serve():
            try:
                dealer.serve(for_alice, for_bob)
                self.ending.append(None)
            except Exception as error:
                self.ending.append(error)

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()

    def join(self, alice=None, bob=None, terms=None, others=None):
        """Both present themselves; what is not given is as it should be."""
        terms = terms or terms_of("residual")
        self.alice.send("dealer.join", alice or encode(Join(VERSION, parties.MODE, 0)))
        self.bob.send("dealer.join", bob or encode(Join(VERSION, parties.MODE, 1)))
        self.alice.send("dealer.terms", encode(terms) if isinstance(terms, Terms) else terms)
        others = others or terms
        self.bob.send("dealer.terms", encode(others) if isinstance(others, Terms) else others)

    def said(self):
        """How the dealer ended, and that he told both, in one line."""
        self._thread.join(2 * WAIT)
        assert len(self.ending) == 1, "the dealer is still there"
        (error,) = self.ending
        assert isinstance(error, LinkError | mpc.MpcError)
        for link in (self.alice, self.bob):
            with pytest.raises(PeerError) as told:
                read_on(link)
            assert str(error) in str(told.value)
        assert "\n" not in str(error)
        return str(error)


def read_on(link):
    """What the dealer sends, until something goes wrong."""
    while True:
        link.receive_any({"dealer.session": SEED_BYTES, "dealer.bundle": 1 << 20})


def terms_of(name, reveal="class"):
    module, shape = networks.build(name)
    plan, weights = trace(module, shape, input_limit=8.0)
    return Terms(plan, value_ranges(plan, weights), reveal)


def test_each_request_gets_a_fresh_bundle_under_the_next_number():
    terms = terms_of("residual")
    program = compile_program(terms.plan, terms.ranges, terms.reveal)
    desk, seen = Desk(), set()
    for _ in range(2):  # two sessions
        desk.join(terms=terms)
        seed = bytes(desk.bob.receive("dealer.session", limit=SEED_BYTES))
        assert len(seed) == SEED_BYTES
        assert seed not in seen
        seen.add(seed)
        for number, examples in enumerate((1, 3, 1)):
            desk.alice.send("dealer.request", encode(Query(examples)))
            sent = [
                bytes(link.receive("dealer.bundle", limit=bundle_bytes(program, examples, party)))
                for party, link in enumerate((desk.alice, desk.bob))
            ]
            for data in sent:
                assert int.from_bytes(data[:8], "little") == number
                own_seed = data[8 : 8 + SEED_BYTES]
                assert own_seed not in seen
                seen.add(own_seed)
    desk.alice.close()
    desk._thread.join(WAIT)
    assert desk.ending == [None]


def test_parties_who_want_different_things_are_both_told():
    ours = terms_of("residual")
    for others in (terms_of("two linears"), terms_of("residual", "logits"), Terms(ours.plan, (9,) * 99, "class")):
        desk = Desk()
        desk.join(terms=ours, others=others)
        assert "different networks" in desk.said()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"alice": encode(Join(VERSION, parties.MODE, 1))}, "alice's is the other party's: swap them"),
        ({"bob": encode(Join(VERSION, parties.MODE, 0))}, "bob's is the other party's: swap them"),
        ({"alice": encode(Join(VERSION + 1, parties.MODE, 0))}, "install one release"),
        ({"bob": encode(Join(VERSION, "crypten", 1))}, "start all three with one mode"),
        ({"bob": b"\xc1"}, "malformed"),
        ({"alice": bytes(JOIN_LIMIT + 1)}, "at most"),
        ({"terms": b"\xc1"}, "malformed"),
        ({"terms": encode(Terms(terms_of("residual").plan, (4,), "class"))}, "ranges do not belong to the plan"),
        ({"terms": encode(Terms(terms_of("residual").plan, (46,) * 9, "class"))}, "range|grows"),
        ({"terms": encode(Terms(ModelPlan((3,), 1.0, (Linear(0, 4, 2, True),)), (1, 1), "class"))}, "another width"),
        ({"terms": encode(Terms(ModelPlan((1 << 40,), 1.0, (Linear(0, 4, 2, True),)), (1, 1), "class"))}, "elements"),
    ],
)
def test_terms_that_do_not_hold_are_refused(arguments, said):
    desk = Desk()
    desk.join(**arguments)
    answer = desk.said()
    assert any(each in answer for each in said.split("|")), answer


@pytest.mark.parametrize("examples", [0, -1, 1 << 40])
def test_bundles_of_impossible_size_are_not_made(examples):
    desk = Desk()
    desk.join()
    desk.alice.send("dealer.request", encode(Query(examples)))
    assert f"a bundle of {examples} examples" in desk.said()


def test_a_request_before_the_set_up_is_refused():
    desk = Desk()
    desk.alice.send("dealer.request", encode(Query(1)))
    assert "was expected" in desk.said()


def test_a_bob_who_never_comes_is_not_waited_for_forever():
    desk = Desk()
    desk.alice.send("dealer.join", encode(Join(VERSION, parties.MODE, 0)))
    desk.bob.close()
    desk._thread.join(2 * WAIT)
    assert isinstance(desk.ending[0], LinkError)
    with pytest.raises(PeerError):
        desk.alice.receive("dealer.bundle", limit=8)


def test_an_idle_dealer_gives_up():
    desk = Desk(idle=0.2)
    assert "deadline" in desk.said()
