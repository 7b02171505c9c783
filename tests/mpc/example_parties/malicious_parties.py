"""Both parties and a dealer of mode ``malicious`` in one process, and shares with tags to compute on.

:func:`shared` and :func:`value_of` go from whole numbers to both parties' authenticated shares and back, the tags
verified.  :class:`Dealt` is what a dealer makes for a program, read by both parties.  :class:`Trio` drives the public
doors; :class:`Altered` stands between a party and its link and changes what the party sends.
"""

import secrets
import threading

import numpy as np

from sotto import mpc
from sotto.link import pair
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.protocols import pieces
from sotto.mpc.protocols.malicious.evaluation import MaliciousEvaluation, Network
from sotto.mpc.protocols.malicious.preprocessing import (
    SessionSecret,
    make_bundle,
    read_bundle,
    read_session,
    session_bytes,
    session_pieces,
    weight_masks,
)
from sotto.mpc.protocols.malicious.segments import bundle_bytes
from sotto.mpc.protocols.malicious.session import tensors_of
from sotto.mpc.sharing.authenticated import Authenticated, opened_minus

MODE = "malicious"
MODULUS = 1 << 128
MASK = (1 << 64) - 1


def planes_of(integers, *shape):
    """Whole numbers as planes (2, *shape)."""
    array = np.array(integers, object).reshape(shape)
    return np.stack([(array & MASK).astype(np.uint64), (array >> 64 & MASK).astype(np.uint64)])


def integers_of(planes):
    """Planes (2, …) as whole numbers."""
    return planes[0].astype(object) + (planes[1].astype(object) << 64)


def uniform(*shape):
    """Uniform whole numbers below 2^128, as objects."""
    count = int(np.prod(shape))
    return np.array([secrets.randbits(128) for _ in range(count)], object).reshape(shape)


def shared(secret, values):
    """Both parties' fresh shares of whole numbers ``values`` modulo 2^128."""
    values = np.asarray(values, object) % MODULUS
    share, tag = uniform(*values.shape), uniform(*values.shape)
    others = (values - share) % MODULUS, (values * secret.alpha - tag) % MODULUS
    return tuple(
        Authenticated(np.concatenate([planes_of(x, *values.shape), planes_of(m, *values.shape)]))
        for x, m in ((share, tag), others)
    )


def value_of(secret, first, second):
    """The whole numbers modulo 2^128 that two shares stand for; their tags must be right."""
    flat = [half.planes.reshape(4, -1) for half in (first, second)]
    value, tag = (sum(integers_of(half[at : at + 2]) for half in flat) % MODULUS for at in (0, 2))
    assert (tag == value * secret.alpha % MODULUS).all()
    return value.reshape(first.shape)


def words_of(secret, first, second):
    """The same modulo 2^64, as uint64."""
    return np.asarray(value_of(secret, first, second) & MASK, np.uint64)


def compiled(module, shape, *, limit=8.0, reveal="class"):
    """Program, plan and weights of a module, as the parties make them."""
    plan, weights = trace(module.eval(), shape, input_limit=limit)
    return compile_program(plan, value_ranges(plan, weights), reveal), weights


class WeightShares:
    """A party's shares of the masks of weights and biases by register; Bob also has them in ``clear``."""

    def __init__(self, program, shares):
        registers = [step.out for step in program.owned]
        shares = list(shares)
        self.tensors = shares
        by_kind = [dict(zip(registers, shares[start::2], strict=True)) for start in (0, 1)]
        self.weights, self.biases = ({out: each.mask for out, each in kind.items()} for kind in by_kind)
        known = all(each.clear is not None for each in shares)
        self.clear = tuple({out: each.clear for out, each in kind.items()} for kind in by_kind) if known else None

    def __repr__(self):
        return repr(self.tensors)


class Dealt:
    """One session and one bundle of a program, as sent and as read by both parties."""

    def __init__(self, program, examples=1, number=0):
        self.program = program
        self.secret = SessionSecret.of(secrets.token_bytes(32))
        self.masks = weight_masks(program, self.secret)
        self.opening = pieces.whole(session_pieces(program, self.secret))
        self.keys, shares = zip(*(read_session(program, p, d) for p, d in enumerate(self.opening)), strict=True)
        self.weights = [WeightShares(program, each) for each in shares]
        assert [len(data) for data in self.opening] == [session_bytes(program, party) for party in (0, 1)]
        self.sent, self.bundles = self.bundle(examples, number)

    def opened(self, weights):
        """Bob's tensors under their masks, in the order of a session."""
        tensors = zip(tensors_of(self.program, weights), self.weights[1].tensors, strict=True)
        return [plain + share.clear for plain, share in tensors]

    def bundle(self, examples, number):
        """A further bundle: as sent, and as read."""
        sent = make_bundle(self.program, examples, number, self.secret, self.masks)
        assert [len(data) for data in sent] == [bundle_bytes(self.program, examples, party) for party in (0, 1)]
        return sent, tuple(read_bundle(self.program, examples, party, data) for party, data in enumerate(sent))


def execute(program, words, weights):
    """The opened output register (n, *shape) for Alice's words (n, *input_shape), between both parties' evaluations."""
    dealt = Dealt(program, len(words))
    opened = dealt.opened(weights)
    registers = [step.out for step in program.owned]
    own = dict(zip(registers, opened[::2], strict=True)), dict(zip(registers, opened[1::2], strict=True))
    networks = [
        Network(
            own[0],
            {out: opened_minus(keys, own[0][out], shares.weights[out]) for out in registers},
            {out: opened_minus(keys, own[1][out], shares.biases[out]) for out in registers},
        )
        for keys, shares in zip(dealt.keys, dealt.weights, strict=True)
    ]
    for_alice, for_bob = pair(timeout=60)

    def bob():
        with for_bob:
            MaliciousEvaluation(program, dealt.bundles[1], for_bob, dealt.keys[1], networks[1]).run(None)

    thread = threading.Thread(target=bob, daemon=True)
    thread.start()
    with for_alice:
        result = MaliciousEvaluation(program, dealt.bundles[0], for_alice, dealt.keys[0], networks[0]).run(words)
    thread.join(20)
    return result


class Altered:
    """A link whose owner's messages pass ``alter(name, payload)``, bytes to bytes or None to send nothing."""

    def __init__(self, link, alter):
        self._link = link
        self._alter = alter

    def __getattr__(self, name):
        return getattr(self._link, name)

    def send(self, name, payload, **options):
        payload = self._alter(name, bytes(payload))
        if payload is not None:
            self._link.send(name, payload, **options)

    def exchange(self, name, payload, **options):
        changed = self._alter(name, bytes(payload))
        if changed is None:
            return self._link.receive(name, **options)
        return self._link.exchange(name, changed, **options)


class Trio:
    """Bob and the dealer in threads, Alice for the test to use; ``alter`` by party changes what it sends its peer."""

    def __init__(
        self, module, shape, *, limit=8.0, reveal="class", timeout=20.0, alter=None, altered=Altered, **of_bob
    ):
        self.ends = {}
        for one, other in (("alice", "dealer"), ("bob", "dealer"), ("alice", "bob")):
            left, right = pair(timeout=timeout)
            left.peer, right.peer = f"the {other}" if other == "dealer" else other, one
            self.ends[one, other], self.ends[other, one] = left, right
        self.endings = {}
        alter = alter or {}
        self.link, for_bob = self.ends["alice", "bob"], self.ends["bob", "alice"]
        self.link = altered(self.link, alter["alice"]) if "alice" in alter else self.link
        for_bob = altered(for_bob, alter["bob"]) if "bob" in alter else for_bob
        self.bob = mpc.Bob(
            module,
            self.ends["bob", "dealer"],
            input_shape=shape,
            mode=MODE,
            input_limit=limit,
            reveal="logits",
            **of_bob,
        )
        dealer = mpc.Dealer(mode=MODE)
        self.threads = [
            self.start("dealer", lambda: dealer.serve(self.ends["dealer", "alice"], self.ends["dealer", "bob"])),
            self.start("bob", lambda: self.bob.serve(for_bob)),
        ]
        self.alice = mpc.Alice(self.ends["alice", "dealer"], mode=MODE, reveal=reveal)

    def start(self, who, work):
        def run():
            try:
                work()
                self.endings[who] = None
            except BaseException as error:
                self.endings[who] = error

        thread = threading.Thread(target=run, name=who, daemon=True)
        thread.start()
        return thread

    def ending(self, who):
        """How ``who`` ended, waiting for it."""
        for thread in self.threads:
            if thread.name == who:
                thread.join(20)
        return self.endings[who]

    def ask(self, features):
        return self.alice.ask(features, self.link)

    def close(self):
        """Alice leaves; how the others ended, by name, None for well."""
        self.alice.close()
        self.ends["alice", "bob"].close()
        self.ends["alice", "dealer"].close()
        for thread in self.threads:
            thread.join(20)
            assert not thread.is_alive(), "a party hangs"
        for link in self.ends.values():
            link.close()
        return self.endings

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def observed(link):
    """The list that fills with (direction, name, payload) of every message of ``link`` from now on."""
    seen = []
    link.observer = lambda direction, name, payload: seen.append((direction, name, bytes(payload)))
    return seen
