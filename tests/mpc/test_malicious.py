"""The malicious mode from door to door: right answers from honest parties, none from a party that cheats."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import malicious_parties as parties
import numpy as np
import pytest
import torch
from malicious_parties import Altered, Dealt, Trio, observed
from masked_parties import real_logits
from networks import INPUT_SHAPES, build, tiny
from torch import nn

import mpc
from link import LinkError, connect, pair
from mpc import malicious, plain
from mpc.authenticated import opened_minus
from mpc.commitment import NONCE_BYTES
from mpc.errors import CheatingDetected, MpcError
from mpc.fx_graph import trace
from mpc.malicious_session import _masked

HERE = Path(__file__).parent
PATIENCE = 10.0
EXAMPLE = np.array([[1.0, 2.0, -1.0, 0.5]], np.float32)


def features(name, count, seed=0, limit=4.0):
    return np.random.default_rng(seed).uniform(-limit, limit, (count, *INPUT_SHAPES[name])).astype(np.float32)


def right_class(module, x):
    with torch.no_grad():
        return module(torch.tensor(x)).argmax(dim=1).numpy()


# -- honest parties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mixed", "pooled", "depinto"])
def test_every_kind_of_layer_gives_the_logits_of_the_network(name):
    plan, weights = trace(build(name), INPUT_SHAPES[name], input_limit=4.0)
    with Trio(build(name), INPUT_SHAPES[name], limit=4.0, reveal="logits") as trio:
        for seed, count in enumerate((1, 3)):
            x = features(name, count, seed)
            answer = trio.ask(x)
            expected, bound = real_logits(plan, weights, x)
            assert (np.abs(answer.scores - expected) <= bound + 1e-6).all()
            assert np.abs(answer.scores - plain.evaluate(plan, weights, x)).max() < 0.02
            assert (answer.labels == answer.scores.argmax(axis=1)).all()
        assert trio.close() == {"bob": None, "dealer": None}


@pytest.mark.parametrize("name", ["mixed", "pooled", "depinto"])
def test_every_kind_of_layer_gives_the_class_of_the_network(name):
    plan, weights = trace(build(name), INPUT_SHAPES[name], input_limit=4.0)
    with Trio(build(name), INPUT_SHAPES[name], limit=4.0) as trio:
        for seed, count in enumerate((1, 1, 4)):
            x = features(name, count, seed)
            answer = trio.ask(x)
            logits, bound = real_logits(plan, weights, x)
            winner = np.take_along_axis(logits, answer.labels[:, None], axis=1)[:, 0]
            assert (winner >= logits.max(axis=1) - 2 * bound.max()).all()
            assert answer.scores is None
        assert trio.close() == {"bob": None, "dealer": None}


@pytest.mark.slow
def test_a_network_of_three_convolutions():
    plan, weights = trace(build("frames"), INPUT_SHAPES["frames"], input_limit=4.0)
    with Trio(build("frames"), INPUT_SHAPES["frames"], limit=4.0, reveal="logits") as trio:
        for count in (1, 3):
            x = features("frames", count)
            assert np.abs(trio.ask(x).scores - plain.evaluate(plan, weights, x)).max() < 0.02


class Bare(nn.Module):
    """Nothing but one step: a truncation, a mean, a comparison or a maximum without any product before it."""

    def __init__(self, step):
        super().__init__()
        self.step = step

    def forward(self, x):
        return self.step(x)


@pytest.mark.parametrize(
    "step", [nn.Flatten(), nn.ReLU(), nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4), nn.Linear(4, 3), nn.ReLU())]
)
@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_networks_that_lack_one_kind_of_step(step, reveal):
    torch.manual_seed(3)
    module = Bare(step).eval()
    with Trio(module, (4,), reveal=reveal) as trio:
        answer = trio.ask(EXAMPLE)
        with torch.no_grad():
            expected = module(torch.tensor(EXAMPLE)).numpy()
        if reveal == "logits":
            assert np.abs(answer.scores - expected).max() < 0.01
        assert answer.labels[0] == expected.argmax()


def test_a_query_in_several_parts(monkeypatch):
    monkeypatch.setattr("mpc.program._ELEMENTS_BITS", 4)  # four examples of the tiny network at once
    module, x = tiny(), np.random.default_rng(1).uniform(-8, 8, (10, 4)).astype(np.float32)
    with Trio(module, (4,)) as trio:
        answer = trio.ask(x)
        assert (answer.labels == right_class(module, x)).all()
        assert len(trio.alice._session._program.parts(10)) == 3


def test_queries_prepared_ahead_and_after_one_another():
    module = tiny()
    with Trio(module, (4,)) as trio:
        for _ in range(3):
            trio.alice.provision(trio.link)
        for number in range(5):
            x = EXAMPLE * (number - 2)
            assert trio.ask(x).labels == right_class(module, x)


def test_parties_in_processes_of_their_own():
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)])}
    started = []

    def start(*arguments):
        command = [sys.executable, str(HERE / "malicious_party.py"), *map(str, arguments)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=environment | {"OMP_NUM_THREADS": "1"}
        )
        started.append(process)
        return process, [int(port) for port in process.stdout.readline().split()]

    try:
        _, (for_alice, for_bob) = start("dealer")
        bob, (port,) = start("bob", for_bob, "mixed")
        plan, weights = trace(build("mixed"), INPUT_SHAPES["mixed"], input_limit=4.0)
        with (
            connect("127.0.0.1", for_alice, peer="the dealer") as dealer,
            connect("127.0.0.1", port, peer="bob") as link,
        ):
            alice = mpc.Alice(dealer, mode="malicious", reveal="logits")
            x = features("mixed", 2)
            assert np.abs(alice.ask(x, link).scores - plain.evaluate(plan, weights, x)).max() < 0.02
            bob.kill()
            bob.wait()
            with pytest.raises(LinkError, match="bob closed"):
                alice.ask(x, link)
    finally:
        for process in started:
            process.kill()
            process.wait()


# -- cheating parties -------------------------------------------------------------------------------------------------


class Rushing(Altered):
    """A party that waits for the other's message before it sends its own: ``alter(name, payload, received)``."""

    def exchange(self, name, payload, *, limit, timeout=None):
        received = self._link.receive(name, limit=limit, timeout=timeout)
        self._link.send(name, self._alter(name, bytes(payload), bytes(received)))
        return received

    def send(self, name, payload, **options):
        self._link.send(name, self._alter(name, bytes(payload), b""), **options)


class Once:
    """Changes the first message of one name by ``change``."""

    def __init__(self, name, change):
        self.name, self.change, self.done = name, change, False

    def __call__(self, name, payload):
        if name != self.name or self.done:
            return payload
        self.done = True
        return self.change(payload)


def flip(place):
    """Flip one bit; ``place`` from 0 (first bit) to 1 (last)."""

    def change(payload):
        changed = bytearray(payload)
        if changed:
            bit = round(place * (8 * len(changed) - 1))
            changed[bit // 8] ^= 1 << bit % 8
        return bytes(changed)

    return change


def words_plus(amount, places=(0,)):
    """Add to words of an opening's low plane, as whole numbers modulo 2^64."""

    def change(payload):
        words = np.frombuffer(payload, np.uint64).copy()
        words[list(places)] += np.uint64(amount)
        return words.tobytes()

    return change


def shorter(payload):
    return payload[:-1]


def longer(payload):
    return payload + b"\0"


def empty(payload):
    return b""


def zeros(payload):
    return bytes(len(payload))


def swap_halves(payload):
    half = len(payload) // 2
    return payload[half:] + payload[:half]


def attempt(cheater, alter, *, module=None, shape=(4,), x=EXAMPLE, timeout=PATIENCE):
    """Ask once while ``cheater`` cheats: Alice's answer or error, how Bob ended, the names that Bob sent Alice."""
    with Trio(module or tiny(), shape, timeout=timeout, alter={cheater: alter}) as trio:
        seen = observed(trio.ends["bob", "alice"])
        try:
            result = trio.ask(x)
        except (LinkError, MpcError) as error:
            result = error
        endings = trio.close()
        return result, endings["bob"], [name for way, name, _ in seen if way == "sent"]


def messages(cheater):
    """The names of what ``cheater`` sends the other in a query of the tiny network, set-up included."""
    with Trio(tiny(), (4,)) as trio:
        other = "bob" if cheater == "alice" else "alice"
        seen = observed(trio.ends[cheater, other])
        trio.ask(EXAMPLE)
        trio.close()
    return [name for way, name, _ in seen if way == "sent"]


NAMES = {
    "bob": [
        "mpc.plan", "mpc.ranges", "mpc.weights", "mpc.ready", "coin.commitment", "mpc.stocked", "relu1.masked",
        "relu1.sign", "linear2.input", "argmax.1.masked", "argmax.1.sign", "output.masked", "check.coins",
        "check.commitment", "check.tags", "output",
    ],
    "alice": [
        "mpc.hello", "mpc.provision", "coin.commitment", "mpc.query", "input", "relu1.masked", "relu1.sign",
        "linear2.input", "argmax.1.masked", "argmax.1.sign", "output.masked", "check.coins", "check.commitment",
        "check.tags",
    ],
}  # fmt: skip
PROTOCOL = {who: [name for name in names if not name.startswith("mpc.")] for who, names in NAMES.items()}
FLIPS = {"first": 0.0, "middle": 0.5, "last": 1.0}


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_the_messages_below_are_all_there_are(cheater):
    assert messages(cheater) == NAMES[cheater]


def require_caught(cheater, result, bob, sent):
    """The honest party took nothing: no answer from a cheating Bob, no output for a cheating Alice."""
    if cheater == "bob":
        assert isinstance(result, Exception)
    else:
        assert isinstance(bob, Exception)
        assert "output" not in sent
    for error in (result, bob):
        if isinstance(error, Exception):
            require_discreet(error)


def require_discreet(error):
    """One line, and nothing in it that could be a share, a tag or a key."""
    text = str(error)
    assert "\n" not in text
    assert not re.search(r"\d{5}|0x|\[|b'|\\x", text)


def harmless(result, bob, module=None, x=EXAMPLE):
    """The query went well in spite of it all."""
    if isinstance(result, Exception) or bob is not None:
        return False
    assert (result.labels == right_class(module or tiny(), x)).all(), "a wrong answer was accepted"
    return True


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("place", FLIPS)
def test_a_flipped_bit_of_any_message_of_the_query_is_caught(cheater, place):
    for name in PROTOCOL[cheater]:
        alter = Once(name, flip(FLIPS[place]))
        outcome = attempt(cheater, alter)
        assert alter.done
        if name.endswith((".masked", ".input")) and place == "last" and harmless(*outcome[:2]):
            continue  # the top bit of the high half: no word is wrong
        require_caught(cheater, *outcome)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_a_flipped_bit_of_a_message_of_the_set_up_never_gives_a_wrong_answer(cheater):
    for name in NAMES[cheater]:
        if not name.startswith("mpc."):
            continue
        for place in (0.0, 0.4, 1.0):
            alter = Once(name, flip(place))
            result, bob, sent = attempt(cheater, alter, timeout=0.8)
            assert alter.done
            if not harmless(result, bob):
                require_caught(cheater, result, bob, sent)


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("change", [shorter, longer, empty, swap_halves, zeros])
def test_a_message_of_another_size_or_of_other_bytes_is_caught(cheater, change):
    for name in PROTOCOL[cheater]:
        outcome = attempt(cheater, Once(name, change))
        if name.endswith(".sign") and harmless(*outcome[:2]):
            continue  # it was zero, or symmetric, before
        require_caught(cheater, *outcome)


@pytest.mark.slow
@pytest.mark.parametrize("cheater", ["alice", "bob"])
def test_a_message_that_never_comes_ends_the_query_in_time(cheater):
    for name in NAMES[cheater]:
        require_caught(cheater, *attempt(cheater, Once(name, lambda payload: None), timeout=1.5))


@pytest.mark.parametrize("cheater", ["alice", "bob"])
@pytest.mark.parametrize("name", ["relu1.masked", "linear2.input", "argmax.1.masked", "output.masked"])
@pytest.mark.parametrize("amount", [1, 1 << 32, 1 << 62, 1 << 63])
def test_an_amount_added_to_an_opening_is_caught(cheater, name, amount):
    result, bob, sent = attempt(cheater, Once(name, words_plus(amount)))
    require_caught(cheater, result, bob, sent)
    assert isinstance(result if cheater == "bob" else bob, CheatingDetected)


def test_the_top_bit_of_the_output_is_never_accepted_changed():
    """With high halves told after the coins, every second one of these was Alice's answer."""
    for _ in range(12):
        result, _, _ = attempt("bob", Once("output.masked", words_plus(1 << 63)))
        assert isinstance(result, CheatingDetected)


def test_two_changes_that_cancel_modulo_the_word_are_caught():
    module, x = tiny(6), EXAMPLE
    result, _, _ = attempt("bob", Once("relu1.masked", words_plus(1 << 63, (0, 1))), module=module, x=x)
    assert isinstance(result, CheatingDetected)

    def opposite(payload):
        words = np.frombuffer(payload, np.uint64).copy()
        words[:2] += np.array([5, (1 << 64) - 5], np.uint64)
        return words.tobytes()

    result, _, _ = attempt("bob", Once("relu1.masked", opposite), module=module, x=x)
    assert isinstance(result, CheatingDetected)


@pytest.mark.parametrize(
    ("name", "change", "check"),
    [
        ("relu1.sign", flip(0.9), "a comparison's bit is wrong"),
        ("relu1.masked", flip(0.0), "an opened word is not the one held|a comparison's bit is wrong"),
        ("output.masked", flip(0.0), "an opened word is not the one held"),
        ("coin.commitment", flip(0.5), "the coins are not those committed to"),
        ("check.coins", flip(0.1), "the coins are not those committed to"),
        ("check.coins", flip(1.0), "a comparison's bit is wrong"),
        ("check.commitment", flip(0.5), "the tags are not those committed to"),
        ("check.tags", flip(0.0), "the tags are not those committed to"),
        ("check.tags", flip(1.0), "the tags are not those committed to"),
        ("output", flip(0.0), "the output's mask is not the dealer's"),
        ("output", flip(1.0), "the output's mask is not the dealer's"),
    ],
)
def test_the_check_that_failed_is_named(name, change, check):
    result, bob, _ = attempt("bob", Once(name, change), module=tiny(8))
    assert isinstance(result, CheatingDetected)
    assert re.fullmatch(f"bob departed from the protocol: ({check}); nothing was revealed", str(result))
    require_discreet(result)
    assert bob is None or isinstance(bob, LinkError | CheatingDetected)


# -- the traps, one by one --------------------------------------------------------------------------------------------


def halves_of_coins(runs):
    """Both parties' halves of the joint coins in several queries of one session, as they were opened."""
    with Trio(tiny(), (4,)) as trio:
        seen = observed(trio.ends["alice", "bob"])
        for _ in range(runs):
            trio.ask(EXAMPLE)
    opened = [(way, payload) for way, name, payload in seen if name == "check.coins"]
    return {
        way: [payload[NONCE_BYTES : NONCE_BYTES + 32] for each, payload in opened if each == way] for way, _ in opened
    }


def test_coins_differ_in_every_run_and_between_the_parties():
    halves = halves_of_coins(12)
    assert len(set(halves["sent"]) | set(halves["received"])) == 24
    words = np.frombuffer(b"".join(halves["sent"] + halves["received"]), np.uint8)
    assert abs(np.unpackbits(words).mean() - 0.5) < 6 * 0.5 / np.sqrt(8 * len(words))


def test_coins_are_bound_before_the_query_and_opened_after_its_last_opening():
    with Trio(tiny(), (4,)) as trio:
        seen = observed(trio.ends["alice", "bob"])
        trio.ask(EXAMPLE)
    names = [name for _, name, _ in seen]
    assert names.index("coin.commitment") < names.index("mpc.query") < names.index("input")
    last = max(number for number, name in enumerate(names) if name.endswith((".masked", ".sign", ".input")))
    assert last < names.index("check.coins") < names.index("check.commitment")
    assert names.index("check.commitment") < names.index("check.tags") < names.index("output")
    assert names[-1] == "output"


def rushing(alter):
    """What Alice gets from a Bob who sees each of her messages before he sends his own."""
    with Trio(tiny(), (4,), timeout=PATIENCE, alter={"bob": alter}, altered=Rushing) as trio:
        try:
            return trio.ask(EXAMPLE)
        except (LinkError, MpcError) as error:
            return error


def test_a_bob_who_waits_for_alice_and_then_follows_the_protocol_is_no_cheat():
    result = rushing(lambda name, payload, received: payload)
    assert result.labels == right_class(tiny(), EXAMPLE)


def test_a_seed_chosen_after_the_others_commitment_or_opening_is_no_use():
    """Whatever Bob does once he has seen Alice's half: he may only open what he committed to before."""

    def other_seed(name, payload, received):
        return bytes(NONCE_BYTES + 32) + payload[NONCE_BYTES + 32 :] if name == "check.coins" else payload

    def hers(name, payload, received):
        return received if name == "coin.commitment" else payload

    def hers_and_her_opening(name, payload, received):
        if name == "check.coins":
            return received[: NONCE_BYTES + 32] + payload[NONCE_BYTES + 32 :]
        return hers(name, payload, received)

    for alter in (other_seed, hers, hers_and_her_opening):
        result = rushing(alter)
        assert isinstance(result, CheatingDetected)
        assert "the coins are not those committed to" in str(result)


def test_tags_and_proofs_sent_back_are_no_tags_and_no_proofs():

    def her_tags(name, payload, received):
        return received if name in ("check.commitment", "check.tags") else payload

    def her_proof(name, payload, received):
        return payload[: NONCE_BYTES + 32] + received[NONCE_BYTES + 32 :] if name == "check.coins" else payload

    for alter, check in ((her_tags, "the tags"), (her_proof, "a comparison's bit")):
        result = rushing(alter)
        assert isinstance(result, CheatingDetected)
        assert check in str(result)


def test_an_own_commitment_of_an_earlier_query_is_refused():
    """Commitments name the bundle: replaying one together with its opening does not help."""
    earlier = {}

    def replay(name, payload):
        if name not in ("coin.commitment", "check.coins"):
            return payload
        if name in earlier:
            return earlier[name][: NONCE_BYTES + 32] + payload[NONCE_BYTES + 32 :]
        earlier[name] = payload
        return payload

    with Trio(tiny(), (4,), alter={"bob": replay}) as trio:
        trio.ask(EXAMPLE)
        with pytest.raises(CheatingDetected, match="the coins are not those committed to"):
            trio.ask(EXAMPLE)


def test_openings_of_an_earlier_query_are_refused():
    for name in (
        "relu1.masked",
        "linear2.input",
        "output.masked",
        "check.coins",
        "check.commitment",
        "check.tags",
        "output",
    ):
        earlier = []

        def replay(sent, payload, name=name, earlier=earlier):
            earlier.extend([payload] * (sent == name))
            return earlier[0] if sent == name else payload

        with Trio(tiny(), (4,), alter={"bob": replay}) as trio:
            trio.ask(EXAMPLE)
            with pytest.raises(CheatingDetected):
                trio.ask(EXAMPLE)


def test_bob_sends_no_output_when_his_check_fails():
    for name in ("relu1.masked", "relu1.sign", "output.masked", "check.coins", "check.commitment", "check.tags"):
        result, bob, sent = attempt("alice", Once(name, flip(0.0)), module=tiny(8))
        assert isinstance(bob, CheatingDetected)
        assert isinstance(result, LinkError | CheatingDetected)
        assert "output" not in sent


def test_alice_has_only_masked_words_until_the_output():
    """The same query again and again: nothing that she receives before it repeats, nor what she can make of it."""
    program, weights = parties.compiled(tiny(), (4,))
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
    opened = _masked(program, weights, dealt.weights[1].clear)
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
    alice._reveal = lambda masked: taken.append(masked) or reveal(masked)
    words = np.rint(EXAMPLE * 65536).astype(np.int64).view(np.uint64) if words is None else words
    result = alice.run(words)
    thread.join(PATIENCE)
    if twice:
        with pytest.raises(RuntimeError, match="used already"):
            alice.run(words)
    assert not re.search(r"\d{3}|array", repr(alice))
    return seen, taken[0], dealt.bundles[0].output.clear, result


def test_an_alice_beyond_the_limit_is_not_noticed_and_gets_a_class_and_nothing_else():
    """Inputs are chosen, not proven to be in range: what comes out then is some class, by masked words all the same."""
    program, weights = parties.compiled(tiny(), (4,))
    rng = np.random.default_rng(6)
    for low, high in ((1 << 40, 1 << 50), (1 << 62, 1 << 63), (1 << 63, (1 << 63) + 2)):
        words = rng.integers(low, high, (1, 4), np.uint64)
        *_, result = run_evaluations(program, weights, words)
        assert not (result & np.uint64((1 << 64 - program.index_bits) - 1)).any()  # the index's bits alone
        assert int(result[0, 0]) >> 64 - program.index_bits in range(program.classes)


def test_a_bundle_serves_one_query():
    run_evaluations(*parties.compiled(tiny(), (4,)), twice=True)


def test_after_an_abort_session_and_stock_are_gone_and_new_links_are_needed():
    trio = Trio(tiny(), (4,), timeout=PATIENCE, alter={"bob": Once("output.masked", flip(0.0))})
    with trio:
        for _ in range(3):
            trio.alice.provision(trio.link)
        session = trio.alice._session
        with pytest.raises(CheatingDetected):
            trio.ask(EXAMPLE)
        assert trio.alice._session is None
        assert not session._stock
        with pytest.raises(LinkError, match="open a new one"):
            trio.ask(EXAMPLE)
        with pytest.raises(LinkError, match="open a new one"):
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
    with Trio(tiny(), (4,), timeout=PATIENCE, alter={"alice": Once("output.masked", flip(0.0))}) as trio:
        for _ in range(2):
            trio.alice.provision(trio.link)
        session = trio.bob._session
        with pytest.raises((LinkError, CheatingDetected)):
            trio.ask(EXAMPLE)
        assert isinstance(trio.ending("bob"), CheatingDetected)
        assert trio.bob._session is None
        assert not session._stock


def test_a_cheat_in_a_later_part_takes_the_whole_answer(monkeypatch):
    monkeypatch.setattr("mpc.program._ELEMENTS_BITS", 4)
    count = 0

    def second(name, payload):
        nonlocal count
        count += name == "output.masked"
        return flip(0.0)(payload) if name == "output.masked" and count == 2 else payload

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
