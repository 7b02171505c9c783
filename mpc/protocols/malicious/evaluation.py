"""One query in mode ``malicious``: the semi-honest gates on authenticated shares, checked before anything is revealed.

A product of the public Delta_x = x + lambda and the shared W = Delta_W - [lambda_W] is

    [y] = [W] * Delta_x - Delta_W * [lambda] + [lambda_W * lambda] + [bias]

of which all but the first term is done offline.  Where a gate alone reads y (:attr:`Program.masking`), a uniform [p] of
128 bits stands for [lambda_W * lambda]: the gate opens y + p - lambda_W * lambda, masked by what p has more.

Bob knows W and all of lambda_W, so his share of W is W and Alice's is zero (with shares of its tag that are uniform):
her share of y does not depend on the query.  What she opens of such a *static* value
(:attr:`sotto.mpc.graph.program.Program.static`) she tells ahead, and a layer takes two flights, one each way, where
three openings one after the other take three: she sends her bits of one gate and her part of Delta_x for the next
product, he answers with his part of Delta_x, the gate's word and his bits, which he has by then.  That is the least
that any link can have, so there is no choice by link.  An opening is two shares and a check all the same, and which
party speaks first never mattered: a cheater may wait for the other's share anyway.  What crosses the link, each a share
of a masked value or bit:

    offline   Alice -> Bob    mpc.masked        her shares of the gates' words that are static; of a long bundle,
                                                segment by segment
              both            coin.commitment   binds each to its half of the joint coins
    online    Alice -> Bob    input             x + lambda, the mask known to her alone
              Bob -> Alice    <gate>.masked     where she told hers
              both            <product>.input, <gate>.masked, <gate>.sign, <times>.masked, output.masked
                                                beside the last of these, which is masked: the halves of the coins
    check     both            check.commitment  to sigma_i of :mod:`sotto.mpc.protocols.malicious.opening_check` and
                                                what proves the last opening; the bits of the winner's comparisons
              both            check.tags        a digest of all bit tags, and what was committed to
    output    Bob -> Alice    output            his half of the output's mask, with a one-time authenticator; or the
                                                labels of :mod:`sotto.mpc.protocols.winner`

The opened output is masked for both, Bob's half is sent only when his check has passed, and Alice takes the answer
only when hers has: a failed check raises :class:`sotto.mpc.CheatingDetected` and leaves the answer masked.

The coins are told beside the last opened words, which are checked without them, and the winner's bits beside the
commitments: a message less each.  What the coins combine are the errors of all other opened words, and each party has
the other's shares of those before it tells its half.  Bits are not combined: whoever tells a wrong one, at whatever
time, must put the key Delta into its digest.

Why that is secure
------------------

The simulator of a cheater plays the dealer to it, and so knows its shares, keys and weights or input mask; the input of
a cheating Alice is what she sends as ``input``, less the mask, that of a cheating Bob his ``mpc.weights``, less theirs,
before any query: his weights are the same in all queries of a session.  For the honest party it sends

* of every opened word 128 uniform bits.  Each word has a mask of its own, uniform modulo 2^128 and opened nowhere else:
  lambda of a product's input and of both factors, p or r of a gate, both masks of the output.  Whoever lacks the
  other's share of the mask sees a uniform share, told ahead or not, and the sum says no more;
* of every comparison's bit a uniform bit: e masks it, and it is opened once, at one c, even where the cheater makes the
  other party take another c than its own;
* in the check what the protocol says, with the keys it dealt.  What the cheater sent, less what it held at the words
  and bits that were opened, are the errors that the check is about.

It aborts where the check does, and where a word or a bit was wrong; only then it differs from the protocol, with
probability below 2^-57.9 a session (:mod:`sotto.mpc.protocols.malicious.opening_check`) and Q · 2^-112 for Q trials at
Delta (:mod:`sotto.mpc.fss.dcf`), besides what tells streams from uniform words, finds collisions of SHA-256 or opens
its commitments otherwise.  What follows the check is refused or taken by what the cheater knows: labels, of which Alice
has the hashes, or a mask of L bytes under Poly1305, forged with probability at most 8 ceil(L / 16) 2^-106 (Bernstein
2005), 2^-88 for half a megabyte.  The simulator never uses the honest input, so **whether a session ends, at which
message and by which check does not depend on it**.  Source: SPDZ2k's online phase (Cramer et al. 2018, section 3), on
the masked wires of Boyle et al. 2021 (ePrint 2020/1392).
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.poly1305 import Poly1305

from sotto.link import BadType, Link, WrongState
from sotto.mpc.errors import CheatingDetected
from sotto.mpc.fss import comparison_gate, dcf, spline
from sotto.mpc.graph import linear_steps
from sotto.mpc.graph.layers import Constant, Linear
from sotto.mpc.graph.program import (
    WORD_BITS,
    Compare,
    Product,
    Program,
    PublicProduct,
    SecretProduct,
    SecretTensor,
    Spline,
    Step,
    Truncate,
    Winner,
)
from sotto.mpc.protocols import secret_product, winner
from sotto.mpc.protocols.exact_messages import exchange_exactly, exchange_words, receive_exactly, receive_words
from sotto.mpc.protocols.malicious.opening_check import SIGMA_BYTES, Openable, OpeningLog, passes, proof_of
from sotto.mpc.protocols.malicious.preprocessing import Bundle, OutputShare
from sotto.mpc.protocols.malicious.segments import BOB, TAG_BYTES, segments
from sotto.mpc.protocols.semi_honest.evaluation import PublicTensors
from sotto.mpc.sharing import authenticated, uint128
from sotto.mpc.sharing.authenticated import Authenticated, Keys
from sotto.mpc.sharing.commitment import NONCE_BYTES, commit, digest, opened
from sotto.mpc.sharing.ring import WORD_BYTES, Words
from sotto.mpc.sharing.uint128 import Planes

_SEED_BYTES = 32
_ONE = np.uint64(1)


@dataclass(frozen=True, repr=False)
class Network:
    """What a party holds of the weights for the whole session, by register: Delta_W, and shares of W and the bias; of
    public weights, which have neither masks nor shares, the tensors themselves."""

    opened: Mapping[int, Words]
    weights: Mapping[int, Authenticated]
    biases: Mapping[int, Authenticated]
    public: PublicTensors = field(default_factory=dict)


class MaliciousEvaluation:
    """One party's side of one query: made offline from a bundle, run once."""

    def __init__(
        self,
        program: Program,
        bundle: Bundle,
        link: Link,
        keys: Keys,
        network: Network,
        later: Iterator[Bundle] | None = None,
    ) -> None:
        self._program = program
        self._bundle = bundle
        self._segments = segments(program, bundle.examples)
        self._later = later or iter(())
        self._link = link
        self._keys = keys
        self._network = network
        self._place = bundle.place
        self._used = False
        self._log = OpeningLog()
        self._bit_tags = hashlib.sha256()
        self._public: dict[int, Words] = {}
        self._shares: dict[int, Authenticated] = {}
        self._products: dict[int, authenticated.Product] = {}
        self._told: deque[Planes] = deque()  # to Bob by Alice: her shares of gates' words, in order
        self._begin(self._segments[0])
        self._coin = commit(secrets.token_bytes(_SEED_BYTES), keys.party, b"coin" + self._place)
        self._their_coin = exchange_exactly(self._link, "coin.commitment", self._coin.commitment)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._bundle.examples} examples>"

    def run(self, inputs: Words | None) -> Words | None:
        """The online phase.  Alice gives her words (n, *input_shape) and gets the output's, the index at the top."""
        if self._used:
            raise WrongState("used-already", "this bundle was used already: one bundle serves one query")
        self._used = True
        self._public[0] = self._masked_input(inputs)
        for place, steps in enumerate(self._segments):
            if place:
                self._bundle = next(self._later)
                self._begin(steps)
            for step in steps:
                if isinstance(step, Winner):
                    return self._tell(step)
                self._take(step)
                for register in self._program.spent.get(step.out, ()):
                    for held in (self._public, self._shares, self._products):
                        held.pop(register, None)
        if self._bundle.output is None:
            raise BadType("wrong-bundle", "the bundle holds no masks for the output")
        masked = self._open_last("output.masked", self._masked_output(self._bundle.output))
        self._check()
        return self._reveal(masked, self._bundle.output)

    def _take(self, step: Step) -> None:
        """One step, its register filled."""
        if isinstance(step, Product):
            self._products[step.out] = self._product(step)
        elif isinstance(step, Compare):
            self._shares[step.out] = _shaped(self._compare(step), step)
        elif isinstance(step, Truncate):
            self._shares[step.out] = _shaped(self._truncate(step), step)
        elif isinstance(step, SecretProduct):
            self._shares[step.out] = self._secret_product(step)
        elif isinstance(step, SecretTensor):
            self._shares[step.out] = self._secret_tensor(step)
        elif isinstance(step, PublicProduct):
            self._shares[step.out] = self._public_product(step)
        elif step.out in self._program.masked:
            self._public[step.out] = self._public[step.sources[0]].reshape(-1, *step.shape)
        else:
            self._shares[step.out] = self._local(step)

    # -- offline --------------------------------------------------------------------------------------------------

    def _begin(self, steps: Sequence[Step]) -> None:
        """Do what can be done before these steps are run."""
        self._offline = {step.out: self._known_part(step) for step in steps if isinstance(step, Product)}
        if self._keys.party == BOB:
            counts = [2 * self._bundle.examples * math.prod(step.shape) for step in steps if self._is_told(step)]
            words = receive_words(self._link, "mpc.masked", sum(counts))
            self._told.extend(part.reshape(2, -1) for part in np.split(words, np.cumsum(counts)[:-1]) if counts)
        else:
            self._link.send("mpc.masked", b"".join(planes.tobytes() for planes in self._static(steps)))

    def _is_told(self, step: Step) -> bool:
        """Whether Alice tells her share of what a gate opens before the query."""
        gate = isinstance(step, Compare | Truncate) and not isinstance(step, Winner)
        return gate and step.sources[0] in self._program.static

    def _static(self, steps: Sequence[Step]) -> Iterator[Planes]:
        """Alice's shares (2, N) of what these steps' gates open, where they do not depend on the query."""
        shares: dict[int, Authenticated] = {}  # without tags

        def share(register: int) -> Authenticated:
            return shares[register] if register in shares else Authenticated(self._share(register).opening)

        for step in steps:
            if isinstance(step, Product):
                shares[step.out] = Authenticated(self._offline[step.out].opening)
            elif isinstance(step, SecretTensor):
                shares[step.out] = Authenticated(self._secret_tensor(step).opening)
            elif self._is_told(step):
                row, r = _row(share(step.sources[0])), self._bundle.gates[step.out].r
                yield (row if r is None else row + Authenticated(r.opening)).planes
            elif step.out in self._program.static:
                shares[step.out] = linear_steps.apply(step, [share(source) for source in step.sources])

    def _known_part(self, step: Product) -> Authenticated:
        """What a product's share holds besides [W] * Delta_x."""
        share, bias = self._bundle.products[step.out], self._network.biases[step.out]
        masked = Authenticated(uint128.public_product(step.layer, self._network.opened[step.out], share.mask.planes))
        return share.output - masked + Authenticated(_per_channel(bias.planes, step, share.output.planes.shape))

    # -- online ---------------------------------------------------------------------------------------------------

    def _masked_input(self, inputs: Words | None) -> Words:
        shape = (self._bundle.examples, *self._program.plan.input_shape)
        if inputs is None:
            return receive_words(self._link, "input", *shape)
        if self._bundle.input_clear is None:
            raise BadType("no-inputs", "Bob has no inputs")
        masked = inputs + self._bundle.input_clear
        self._link.send("input", masked.tobytes())
        return masked

    def _share(self, register: int) -> Authenticated:
        """The share of a register; of a masked one or a product it is made when it is first needed."""
        if register in self._products and register not in self._shares:
            self._shares[register] = self._products[register].full()
        if register not in self._shares:
            mask = Authenticated(self._bundle.input.planes.reshape(4, *self._public[register].shape))
            self._shares[register] = self._keys.constant(self._public[register]) - mask
        return self._shares[register]

    def _local(self, step: Step) -> Authenticated:
        share: Authenticated = linear_steps.apply(step, [self._share(source) for source in step.sources])
        constant = linear_steps.constant(step)
        return share if constant is None else share + self._keys.constant(constant, share.shape, holder=BOB)

    def _product(self, step: Product) -> authenticated.Product:
        source = step.sources[0]
        if source in self._program.masked:
            given = self._public[source]
        else:
            given = self._open(f"{step.name}.input", self._share(source) + self._bundle.products[step.out].mask)
        weights, still = self._network.weights[step.out], self._keys.party != BOB
        return authenticated.Product(step.layer, weights, given, self._offline[step.out], still)

    def _secret_product(self, step: SecretProduct) -> Authenticated:
        dealt = self._bundle.pairs[step.out]
        held = [self._share(source) + mask for source, mask in zip(step.sources, dealt.masks, strict=True)]
        opened = self._open_all(f"{step.name}.masked", held[: len(step.opened)])
        factors = (opened[0], opened[-1])
        return secret_product.combined_with_tags(step, self._keys, factors, dealt.masks, dealt.product)

    def _public_product(self, step: PublicProduct) -> Authenticated:
        """A public linear map of a share and its tag.

        Were a party to use another map than the other, value and tag would no longer belong together.
        """
        multiplier, added = self._network.public[step.out]
        shape = (self._bundle.examples, *step.shape)
        constant = self._keys.constant(np.zeros((), np.uint64) if added is None else added, shape)
        if isinstance(step.layer, Constant):
            return constant
        planes = self._share(step.sources[0]).planes
        return Authenticated(uint128.public_product(step.layer, multiplier, planes)) + constant

    def _secret_tensor(self, step: SecretTensor) -> Authenticated:
        planes = self._network.biases[step.out].planes[:, None]
        return Authenticated(np.broadcast_to(planes, (len(planes), self._bundle.examples, *step.shape)))

    def _masked(self, step: Compare | Truncate) -> Words:
        """c = y + r (N,) of a gate, opened."""
        source, r = step.sources[0], self._bundle.gates[step.out].r
        if source not in self._products or source in self._shares:
            share = _row(self._share(source))
            return self._open_word(step, share if r is None else share + r)
        product = self._products[source]
        if r is not None:
            offset = Authenticated(r.planes.reshape(product.added.planes.shape))
            product = replace(product, added=product.added + offset)
        return self._open_word(step, product).ravel()

    def _open_word(self, step: Compare | Truncate, held: Openable) -> Words:
        """Open a gate's word, of which Alice may have told her share."""
        name = f"{step.name}.masked"
        if not self._is_told(step):
            return self._open(name, held)
        if self._keys.party == BOB:
            self._link.send(name, held.opening.tobytes())
            return self._log.add(held, self._told.popleft().reshape(held.opening.shape))
        return self._log.add(held, receive_words(self._link, name, *held.opening.shape))

    def _compare(self, step: Compare) -> Authenticated:
        """A public linear map of authenticated words: the factors are the same on both sides, for value and tag."""
        share, c = self._bundle.gates[step.out], self._masked(step)
        bits = self._signs(step, c)
        gate = spline if isinstance(step, Spline) else comparison_gate
        last = comparison_gate.last_row(step, share.r)
        return self._keys.weighted_sum(gate.factors(step, c, bits), share.words, last)

    def _truncate(self, step: Truncate) -> Authenticated:
        factors = comparison_gate.factors(step, self._masked(step))
        return self._keys.weighted_sum(factors, self._bundle.gates[step.out].words, None)

    def _signs(self, step: Compare, c: Words) -> comparison_gate.Bits:
        """The opened bits v, (N,) for each threshold."""
        tags = self._tags(step, c)
        return self._opened_bits(tags, exchange_exactly(self._link, f"{step.name}.sign", _packed(tags)))

    def _tags(self, step: Compare, c: Words) -> Words:
        """This party's shares (N, 2) of v · Delta."""
        gate = self._bundle.gates[step.out]
        if gate.e is None or gate.corrections is None:
            raise BadType("wrong-bundle", "the bundle holds no key for this comparison")
        key, delta = self._bundle.key, self._keys.delta
        points = [comparison_gate.compared(step, c, threshold) for threshold in step.thresholds]
        each = [dcf.evaluate_tags(at, step.depth, delta, gate.corrections, key, step.out) for at in points]
        return (each[0] if len(each) == 1 else np.concatenate([gate.e[:0], *each])) ^ gate.e

    def _opened_bits(self, tags: Words, received: bytearray) -> comparison_gate.Bits:
        """The bits from both parties' shares; what proves them goes into the digest of bit tags."""
        bits = (tags[:, 0] & _ONE).astype(np.uint8) ^ comparison_gate.unpack(received, len(tags))
        proof = tags ^ (-bits.astype(np.int64)).view(np.uint64)[:, None] & self._keys.delta
        self._bit_tags.update(proof.tobytes())
        return bits

    def _open(self, name: str, held: Openable) -> Words:
        return self._log.add(held, exchange_words(self._link, name, held.opening))

    def _open_all(self, name: str, held: list[Authenticated]) -> list[Words]:
        """Several values in one message, each an opening of its own in the log."""
        own = [each.opening for each in held]
        received = exchange_words(self._link, name, np.concatenate([planes.ravel() for planes in own]))
        parts = np.split(received, np.cumsum([planes.size for planes in own])[:-1])
        shaped = [part.reshape(planes.shape) for part, planes in zip(parts, own, strict=True)]
        return [self._log.add(each, theirs) for each, theirs in zip(held, shaped, strict=True)]

    def _masked_output(self, output: OutputShare) -> Authenticated:
        share, bits = self._share(self._program.output), self._program.index_bits
        if bits is not None:
            share = share * (1 << (WORD_BITS - bits))
        first, second = output.masks
        return share + first + second

    # -- check and output -----------------------------------------------------------------------------------------

    def _open_last(self, name: str, held: Authenticated) -> Words:
        """Open the query's last words, and tell the coins beside them."""
        own, party, place = held.opening, self._keys.party, b"coin" + self._place
        received = exchange_exactly(self._link, name, own.tobytes() + self._coin.opening)
        theirs = opened(self._their_coin, received[own.nbytes :], 1 - party, place)
        self.require(theirs is not None, "the coins are not those committed to")
        halves = [self._coin.opening[NONCE_BYTES:], theirs or b""]
        self._coins = digest(b"coins", 0, self._place, b"".join(halves if party == 0 else halves[::-1]))
        received_words = np.frombuffer(received, np.uint64, own.size).reshape(own.shape)
        words, self._proof = proof_of(held, received_words, self._keys)
        return words

    def _check(self, last: Words | None = None) -> comparison_gate.Bits:
        """Raise :class:`CheatingDetected` unless every opening and every bit of the query was what was held.

        ``last``: shares of tags whose bits are opened beside the commitments; those bits.
        """
        party, place = self._keys.party, b"sigma" + self._place
        tags = np.empty((0, 2), np.uint64) if last is None else last
        sigma = self._log.sigma(self._keys, self._coins)
        bound = commit(sigma.to_bytes(SIGMA_BYTES, "little") + self._proof, party, place)
        received = exchange_exactly(self._link, "check.commitment", bound.commitment + _packed(tags))
        commitment = received[: len(bound.commitment)]
        bits = self._opened_bits(tags, received[len(bound.commitment) :])
        own, expected = (digest(b"bits", who, self._place, self._bit_tags.digest()) for who in (party, 1 - party))
        received = exchange_exactly(self._link, "check.tags", own + bound.opening)
        good = hmac.compare_digest(expected, bytes(received[: len(expected)]))
        self.require(good, "a comparison's bit is wrong")
        value = opened(commitment, received[len(expected) :], 1 - party, place)
        self.require(value is not None, "the tags are not those committed to")
        theirs, proof = (value or b"")[:SIGMA_BYTES], (value or b"")[SIGMA_BYTES:]
        good = passes(sigma, int.from_bytes(theirs, "little")) & hmac.compare_digest(proof, self._proof)
        self.require(good, "an opened word is not the one held")
        return bits

    def _tell(self, step: Winner) -> Words | None:
        """Check everything, then tell Alice alone who won, (n, 1)."""
        dealt, r = self._bundle.winner, self._bundle.gates[step.out].r
        if dealt is None or r is None:
            raise BadType("wrong-bundle", "the bundle holds no labels for the winner")
        c = self._open_last(f"{step.name}.masked", _row(self._share(step.sources[0])) + r)
        opened_bits = self._check(self._tags(step, c)) ^ comparison_gate.sign_bits(step, c)
        if dealt.labels is not None:
            labels = dealt.labels.reshape(len(c), 2, winner.LABEL_WORDS)
            self._link.send("output", labels[np.arange(len(c)), opened_bits].tobytes())
            return None
        given = receive_words(self._link, "output", len(c), winner.LABEL_WORDS)
        good = winner.are_labels(self._place, given, opened_bits, dealt.label_hashes)
        self.require(good, "a label of the answer is not the dealer's")
        own = winner.label_guesses(step.classes, self._place, given.reshape(self._bundle.examples, -1, 2))
        return winner.found(step.classes, own, dealt.targets)

    def _reveal(self, masked: Words, output: OutputShare) -> Words | None:
        """Open the output to Alice alone."""
        if self._keys.party == BOB:
            self._link.send("output", output.clear.tobytes() + output.tag)
            return None
        size = output.clear.size * WORD_BYTES
        received = receive_exactly(self._link, "output", size + TAG_BYTES)
        try:
            Poly1305.verify_tag(output.key, bytes(received[:size]), bytes(received[size:]))
        except InvalidSignature:
            self.require(False, "the output's mask is not the dealer's")
        return masked - output.clear - np.frombuffer(received[:size], np.uint64).reshape(output.clear.shape)

    def require(self, holds: bool, otherwise: str) -> None:
        """Raise :class:`CheatingDetected` for a check that fails."""
        if not holds:
            who = self._link.peer
            raise CheatingDetected(
                "check-failed", f"{who} departed from the protocol: {otherwise}; the answer stays masked"
            )


def _per_channel(bias: Planes, step: Product, shape: tuple[int, ...]) -> Planes:
    """Planes (4,), or (4, channels), at every place of ``shape`` (4, n, *out)."""
    before, after = (len(shape) - 2, 0) if isinstance(step.layer, Linear) else (1, len(step.shape) - 1)
    if bias.ndim == 1:
        return np.broadcast_to(bias.reshape(4, *(1,) * (len(shape) - 1)), shape)
    return np.broadcast_to(bias.reshape(4, *(1,) * before, -1, *(1,) * after), shape)


def _packed(tags: Words) -> bytes:
    """This party's shares of the bits that ``tags`` (N, 2) prove."""
    return comparison_gate.pack((tags[:, 0] & _ONE).astype(np.uint8))


def _row(share: Authenticated) -> Authenticated:
    return Authenticated(share.planes.reshape(len(share.planes), -1))


def _shaped(share: Authenticated, step: Step) -> Authenticated:
    return Authenticated(share.planes.reshape(4, -1, *step.shape))
