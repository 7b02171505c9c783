"""Mistakes of published code for the same job, one by one, and what must not outlive an abort."""

import re
import threading
import time

import malicious_parties as parties
import numpy as np
import pytest
import torch
from malicious_cheats import EXAMPLE, PATIENCE, Once, attempt, flip, right_class, rushing
from malicious_parties import Dealt, Trio, observed
from networks import tiny

from sotto.link import LinkError, WrongState, pair
from sotto.mpc.errors import CheatingDetected
from sotto.mpc.graph.program import Compare
from sotto.mpc.protocols.malicious import evaluation as malicious
from sotto.mpc.protocols.malicious.preprocessing import Bundle
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.sharing.authenticated import Authenticated, opened_minus
from sotto.mpc.sharing.commitment import NONCE_BYTES, commit
from tests.error_codes import raises_code

COIN_BYTES = NONCE_BYTES + 32  # behind the last opened words


def halves_of_coins(runs):
    """Both parties' halves of the joint coins in several queries of one session, as they were opened."""
    with Trio(tiny(), (4,)) as trio:
        seen = observed(trio.ends["alice", "bob"])
        for _ in range(runs):
            trio.ask(EXAMPLE)
    opened = [(way, payload) for way, name, payload in seen if name == "argmax.masked"]
    return {way: [payload[-32:] for each, payload in opened if each == way] for way, _ in opened}


def test_coins_differ_in_every_run_and_between_the_parties():
    halves = halves_of_coins(12)
    assert len(set(halves["sent"]) | set(halves["received"])) == 24
    words = np.frombuffer(b"".join(halves["sent"] + halves["received"]), np.uint8)
    assert abs(np.unpackbits(words).mean() - 0.5) < 6 * 0.5 / np.sqrt(8 * len(words))


def coins_under(halves, monkeypatch):
    """The joint coins of each party in a query of one and the same place, the parties' halves of them as given."""
    program, weights = parties.compiled(tiny(), (4,), reveal="logits")  # labels know their place from the dealer
    found, sigma = {}, malicious.OpeningLog.sigma

    def committed(value, party, place):
        return commit(halves[party] if place.startswith(b"coin") else value, party, place)

    def noted(log, keys, coins):
        found[keys.party] = coins
        return sigma(log, keys, coins)

    with monkeypatch.context() as patched:
        patched.setattr(Bundle, "place", b"here")
        patched.setattr(malicious, "commit", committed)
        patched.setattr(malicious.OpeningLog, "sigma", noted)
        run_evaluations(program, weights)
    assert found[0] == found[1]
    return found[0]


def test_either_half_alone_changes_the_coins(monkeypatch):
    """Who chose all of what they depend on would choose errors that cancel under them."""
    one, other = bytes(32), bytes(31) + b"\1"
    every = [coins_under(halves, monkeypatch) for halves in ((one, one), (other, one), (one, other), (other, other))]
    assert len(set(every)) == 4
    assert coins_under((one, other), monkeypatch) == every[2]


def test_coins_are_bound_before_the_query_and_opened_beside_its_last_opening():
    with Trio(tiny(), (4,)) as trio:
        seen = observed(trio.ends["alice", "bob"])
        trio.ask(EXAMPLE)
    names = [name for _, name, _ in seen]
    assert names.index("coin.commitment") < names.index("mpc.query") < names.index("input")
    last = max(number for number, name in enumerate(names) if name.endswith((".masked", ".sign", ".input")))
    assert names[last] == "argmax.masked"
    coins = [name for _, name, payload in seen if len(payload) >= COIN_BYTES and name in ("argmax.masked", "output")]
    assert coins == ["argmax.masked"] * 2
    assert last < names.index("check.commitment") < names.index("check.tags") < names.index("output")
    assert names[-1] == "output"


def test_a_bob_who_waits_for_alice_and_then_follows_the_protocol_is_no_cheat():
    result = rushing(lambda name, payload, received: payload)
    assert result.labels == right_class(tiny(), EXAMPLE)


def test_a_seed_chosen_after_the_others_commitment_or_opening_is_no_use():
    """Whatever Bob does once he has seen Alice's half: he may only open what he committed to before."""

    def other_seed(name, payload, received):
        return payload[:-COIN_BYTES] + bytes(COIN_BYTES) if name == "argmax.masked" else payload

    def hers(name, payload, received):
        return received if name == "coin.commitment" else payload

    def hers_and_her_opening(name, payload, received):
        if name == "argmax.masked":
            return payload[:-COIN_BYTES] + received[-COIN_BYTES:]
        return hers(name, payload, received)

    for alter in (other_seed, hers, hers_and_her_opening):
        result = rushing(alter)
        assert isinstance(result, CheatingDetected)
        assert "the coins are not those committed to" in str(result)


def test_tags_and_proofs_sent_back_are_no_tags_and_no_proofs():

    def her_tags(name, payload, received):
        if name == "check.commitment":
            return received[:32] + payload[32:]
        return payload[:32] + received[32:] if name == "check.tags" else payload

    def her_proof(name, payload, received):
        return received[:32] + payload[32:] if name == "check.tags" else payload

    for alter, check in ((her_tags, "the tags"), (her_proof, "a comparison's bit")):
        result = rushing(alter)
        assert isinstance(result, CheatingDetected)
        assert check in str(result)


def test_an_own_commitment_of_an_earlier_query_is_refused():
    """Commitments name the bundle: replaying one together with its opening does not help."""
    earlier = {}

    def replay(name, payload):
        if name not in ("coin.commitment", "argmax.masked"):
            return payload
        if name in earlier:
            return payload[:-COIN_BYTES] + earlier[name][-COIN_BYTES:]
        earlier[name] = payload
        return payload

    with Trio(tiny(), (4,), alter={"bob": replay}) as trio:
        trio.ask(EXAMPLE)
        with raises_code(CheatingDetected, "check-failed"):
            trio.ask(EXAMPLE)


def test_openings_of_an_earlier_query_are_refused():
    for name in ("relu1.masked", "linear2.input", "argmax.masked", "check.commitment", "check.tags", "output"):
        earlier = []

        def replay(sent, payload, name=name, earlier=earlier):
            earlier.extend([payload] * (sent == name))
            return earlier[0] if sent == name else payload

        with Trio(tiny(), (4,), alter={"bob": replay}) as trio:
            trio.ask(EXAMPLE)
            with pytest.raises(CheatingDetected):
                trio.ask(EXAMPLE)


def test_what_alice_told_ahead_of_an_earlier_query_is_refused():
    earlier = []

    def replay(name, payload):
        earlier.extend([payload] * (name == "mpc.masked"))
        return earlier[0] if name == "mpc.masked" else payload

    with Trio(tiny(), (4,), alter={"alice": replay}) as trio:
        trio.ask(EXAMPLE)
        with pytest.raises((LinkError, CheatingDetected)):
            trio.ask(EXAMPLE)
        assert isinstance(trio.ending("bob"), CheatingDetected)


@pytest.mark.parametrize("what", ["weights", "biases"])
def test_bob_cannot_take_other_weights_in_a_later_query_of_a_session(what):
    """His share of a weight is the weight, so he can compute with another; its tag is that of the one he opened."""
    with Trio(tiny(), (4,)) as trio:
        trio.ask(EXAMPLE)
        while not (session := trio.bob._session):  # which is his again once the query has come to its end
            time.sleep(0.001)
        held = getattr(session._network, what)
        for register, share in held.items():
            planes = share.planes.copy()
            planes[0] += np.uint64(1 << 16)
            held[register] = Authenticated(planes)
        with raises_code(CheatingDetected, "check-failed", match="an opened word is not the one held"):
            trio.ask(EXAMPLE)


def test_bob_sends_no_output_when_his_check_fails():
    for name in ("mpc.masked", "relu1.sign", "argmax.masked", "check.commitment", "check.tags"):
        result, bob, sent = attempt("alice", Once(name, flip(0.0)), module=tiny(8))
        assert isinstance(bob, CheatingDetected)
        assert isinstance(result, LinkError | CheatingDetected)
        assert "output" not in sent


def test_alice_has_only_masked_words_until_the_output():
    """The same query again and again: nothing that she receives before it repeats, nor what she can make of it."""
    program, weights = parties.compiled(tiny(), (4,), reveal="logits")
    opened = []
    for _ in range(20):
        seen, masked, clear, _ = run_evaluations(program, weights)
        opened.append(masked - clear)
        words = np.concatenate(
            [np.frombuffer(data, np.uint64) for name, data in seen if name.endswith((".masked", ".input"))]
        )
        opened.append(words)
    everything = np.concatenate([each.ravel() for each in opened])
    assert len(np.unique(everything)) == len(everything)
    ones = np.unpackbits(everything.view(np.uint8)).mean()
    assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(64 * len(everything))


def run_evaluations(program, weights, words=None, twice=False):
    """Both evaluations over one bundle: what Alice received, the output as it was opened, her own mask of it, and the
    answer's words."""
    dealt = Dealt(program)
    opened = dealt.opened(weights)
    networks = []
    for keys, shares in zip(dealt.keys, dealt.weights, strict=True):
        registers = [step.out for step in program.products]
        public = dict(zip(registers, opened[::2], strict=True)), dict(zip(registers, opened[1::2], strict=True))
        networks.append(
            malicious.Network(
                public[0],
                {out: opened_minus(keys, public[0][out], shares.weights[out]) for out in registers},
                {out: opened_minus(keys, public[1][out], shares.biases[out]) for out in registers},
            )
        )
    for_alice, for_bob = pair(timeout=PATIENCE)
    seen = []
    for_alice.observer = lambda way, name, data: seen.append((name, bytes(data))) if way == "received" else None

    def bob():
        malicious.MaliciousEvaluation(program, dealt.bundles[1], for_bob, dealt.keys[1], networks[1]).run(None)

    thread = threading.Thread(target=bob, daemon=True)
    thread.start()
    alice = malicious.MaliciousEvaluation(program, dealt.bundles[0], for_alice, dealt.keys[0], networks[0])
    taken = []
    reveal = alice._reveal
    alice._reveal = lambda masked, output: taken.append(masked) or reveal(masked, output)
    words = np.rint(EXAMPLE * 65536).astype(np.int64).view(np.uint64) if words is None else words
    result = alice.run(words)
    thread.join(PATIENCE)
    if twice:
        with raises_code(WrongState, "used-already"):
            alice.run(words)
    assert not re.search(r"\d{3}|array", repr(alice))
    output = dealt.bundles[0].output
    return seen, taken[0] if taken else None, output.clear if output else None, result


def test_an_alice_beyond_the_limit_is_not_noticed_and_gets_a_class_and_nothing_else():
    """Inputs are chosen, not proven to be in range: what comes out then is some class, by masked words all the same."""
    program, weights = parties.compiled(tiny(), (4,))
    rng = np.random.default_rng(6)
    for low, high in ((1 << 40, 1 << 50), (1 << 62, 1 << 63), (1 << 63, (1 << 63) + 2)):
        words = rng.integers(low, high, (1, 4), np.uint64)
        *_, result = run_evaluations(program, weights, words)
        assert result.shape == (1, 1)
        assert int(result[0, 0]) in range(program.classes + 1)  # which stands for none


@pytest.mark.parametrize("seed", range(4))
def test_an_alice_beyond_the_limit_can_read_a_bit_of_a_weight(seed):
    """What the threat model says of her: each class can be an exact bit, here the lowest of a difference of weights."""
    torch.manual_seed(seed)
    program, weights = parties.compiled(torch.nn.Sequential(torch.nn.Linear(4, 2)).eval(), (4,))
    sign = next(step for step in program.steps if isinstance(step, Compare))
    (multipliers,) = weight_words(program, weights)[0].values()
    at_zero = run_evaluations(program, weights, np.zeros((1, 4), np.uint64))[-1]
    for place in range(4):
        words = np.zeros((1, 4), np.uint64)
        words[0, place] = 1 << (sign.width - 1)  # the lowest bit lands on the sign, all others beyond it
        other = run_evaluations(program, weights, words)[-1] != at_zero
        assert other.item() == ((multipliers[0, place] ^ multipliers[1, place]) & np.uint64(1) == 1)


def test_a_bundle_serves_one_query():
    run_evaluations(*parties.compiled(tiny(), (4,)), twice=True)


def test_after_an_abort_session_and_stock_are_gone_and_new_links_are_needed():
    trio = Trio(tiny(), (4,), timeout=PATIENCE, alter={"bob": Once("argmax.masked", flip(0.0))})
    with trio:
        for _ in range(3):
            trio.alice.provision(trio.link)
        session = trio.alice._session
        with pytest.raises(CheatingDetected):
            trio.ask(EXAMPLE)
        assert trio.alice._session is None
        assert not session._stock
        with raises_code(LinkError, "link-over"):
            trio.ask(EXAMPLE)
        with raises_code(LinkError, "link-over"):
            trio.alice.provision(trio.link)
        assert isinstance(trio.ending("bob"), LinkError | CheatingDetected)
        assert trio.bob._session is None
        assert not trio.bob.answer(trio.ends["bob", "alice"])
        keys = session._keys
        left, right = pair(timeout=PATIENCE)  # new links to Bob; both may keep theirs to the dealer
        left.peer, right.peer = "bob", "alice"
        trio.ends["alice", "bob again"], trio.ends["bob", "alice again"] = left, right
        trio.threads.append(trio.start("bob again", lambda: trio.bob.serve(right)))
        assert trio.alice.ask(EXAMPLE, left).labels == right_class(tiny(), EXAMPLE)
        assert trio.alice._session._keys.alpha != keys.alpha  # keys and all are the new session's
        left.close()


def test_bobs_stock_is_gone_too_when_alice_cheated():
    with Trio(tiny(), (4,), timeout=PATIENCE, alter={"alice": Once("argmax.masked", flip(0.0))}) as trio:
        for _ in range(2):
            trio.alice.provision(trio.link)
        while not (session := trio.bob._session):  # which is his again once he has told her that he is ready
            time.sleep(0.001)
        with pytest.raises((LinkError, CheatingDetected)):
            trio.ask(EXAMPLE)
        assert isinstance(trio.ending("bob"), CheatingDetected)
        assert trio.bob._session is None
        assert not session._stock


def test_a_cheat_in_a_later_part_takes_the_whole_answer(monkeypatch):
    monkeypatch.setattr("sotto.mpc.graph.program._ELEMENTS_BITS", 4)
    count = 0

    def second(name, payload):
        nonlocal count
        count += name == "argmax.masked"
        return flip(0.0)(payload) if name == "argmax.masked" and count == 2 else payload

    x = np.random.default_rng(1).uniform(-8, 8, (10, 4)).astype(np.float32)
    result, _, _ = attempt("bob", second, x=x)
    assert isinstance(result, CheatingDetected)


def test_nothing_secret_is_shown():
    with Trio(tiny(), (4,)) as trio:
        trio.alice.provision(trio.link)
        session = trio.alice._session
        things = [trio.alice, trio.bob, session, trio.bob._session, session._keys, session._network]
        things += [session._stock[1][0][0], session._stock[1][0][0]._bundle, session._stock[1][0][0]._log]
        texts = [repr(thing) for thing in things]
        assert not any(re.search(r"array|alpha|\d{4}(?!\w)|b'", text.split(" at 0x")[0]) for text in texts)
