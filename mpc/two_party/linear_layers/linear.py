"""Shares of W · a before the query: Bob's weights times Alice's random mask, under her encryption.

    Alice -> Bob    he.zero              once a session: an encryption of zero, with which Bob hides his answers
    Alice -> Bob    <product>.mask       the ciphertexts of a, uniform modulo 2^bits
    Bob -> Alice    <product>.masked     W · a under masks of his

Online Alice sends x_A - a, and Bob's share of W · x is W · (x_B + x_A - a) plus his share of W · a; hers is what she
has since (Mishra et al., "Delphi: A cryptographic inference service for neural networks", USENIX Security 2020).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import tenseal.sealapi as seal

from sotto.link import Link
from sotto.link.secret_stream import SecretStream
from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import layers
from sotto.mpc.graph.program import Product, Program
from sotto.mpc.protocols.exact_messages import receive_exactly
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.linear_layers.bfv import (
    DEGREE,
    STATISTICAL_BITS,
    AliceKey,
    BobEvaluator,
    Parameters,
    Scheme,
    statistical_bits,
)
from sotto.mpc.two_party.linear_layers.coefficient_packing import Packing

_MOST_CACHED = 1 << 29  # bytes of weight polynomials that are kept ready


class AliceLinear:
    """Alice's side in one session."""

    def __init__(self, program: Program, scheme: Scheme, link: Link) -> None:
        self._program = program
        self._scheme = scheme
        self._link = link
        self._key = AliceKey(scheme)
        self._stream = SecretStream("mpc two-party masks")
        link.send("he.zero", self._key.encrypt_zero())

    def __repr__(self) -> str:
        return f"<AliceLinear of {len(self._program.products)} products>"

    def send_masks(self, examples: int) -> dict[int, Words]:
        """Fresh masks a (n, *input_shape) by the product's register; encrypted they go to Bob."""
        masks = {}
        for step in self._program.products:
            drawn = np.frombuffer(self._stream.bytes(8 * examples * math.prod(step.input_shape)), np.uint64)
            masks[step.out] = drawn.reshape(examples, *step.input_shape)
            polynomials = Packing(step, examples, DEGREE).input_polynomials(masks[step.out]).reshape(-1, DEGREE)
            self._link.send(f"{step.name}.mask", b"".join(map(self._key.encrypt, polynomials)))
        return masks

    def receive_shares(self, examples: int) -> dict[int, Words]:
        """Her shares of W · a (n, *shape) for the masks sent last."""
        return {step.out: self._received(step, Packing(step, examples, DEGREE)) for step in self._program.products}

    def _received(self, step: Product, packing: Packing) -> Words:
        places = [packing.result_places(group) for group in range(packing.output_groups)]
        sizes = [self._scheme.answer_bytes(len(each)) for each in places]
        data = memoryview(receive_exactly(self._link, f"{step.name}.masked", packing.pieces * sum(sizes)))
        results = []
        for _ in range(packing.pieces):
            groups = []
            for each, size in zip(places, sizes, strict=True):
                groups.append(self._key.decrypt(data[:size], each))
                data = data[size:]
            results.append(groups)
        return packing.assemble(results)


class BobLinear:
    """Bob's side in one session.  ``weights`` are his products' words by register.

    Raises :class:`ModelRefused` where answers would not hide the weights.
    """

    def __init__(self, program: Program, scheme: Scheme, link: Link, weights: Mapping[int, Words]) -> None:
        self._program = program
        self._scheme = scheme
        self._link = link
        self._weights = dict(weights)
        for step in program.products:
            if isinstance(step.layer, layers.Scale):
                self._weights[step.out] = np.broadcast_to(weights[step.out], step.input_shape)
        self._ready: dict[tuple[int, int, int, int], seal.Plaintext | None] = {}
        self._evaluator = BobEvaluator(scheme, receive_exactly(link, "he.zero", scheme.fresh_bytes))

    def __repr__(self) -> str:
        return f"<BobLinear of {len(self._program.products)} products>"

    def prepare(self, examples: int) -> dict[int, Words]:
        """Bob's shares of W · a (n, *shape), by the product's register."""
        packings = {step.out: Packing(step, examples, DEGREE) for step in self._program.products}
        if not self._program.products:
            return {}
        first, *rest = self._program.products
        shares = {}
        # The first product is computed while Alice encrypts the others; she reads nothing before she has sent them all.
        payload, shares[first.out] = self._product(first, packings[first.out], examples, self._masks(first, packings))
        masks = {step.out: self._masks(step, packings) for step in rest}
        self._link.send(f"{first.name}.masked", payload)
        for step in rest:
            payload, shares[step.out] = self._product(step, packings[step.out], examples, masks.pop(step.out))
            self._link.send(f"{step.name}.masked", payload)
        return shares

    def _masks(self, step: Product, packings: Mapping[int, Packing]) -> memoryview:
        """Alice's encrypted masks for one product."""
        size = packings[step.out].inputs * self._scheme.fresh_bytes
        return memoryview(receive_exactly(self._link, f"{step.name}.mask", size))

    def _product(self, step: Product, packing: Packing, examples: int, data: memoryview) -> tuple[bytes, Words]:
        """What Alice is sent for one product, and Bob's share of it."""
        size = self._scheme.fresh_bytes
        inputs = [self._evaluator.load(data[start : start + size]) for start in range(0, len(data), size)]
        sent, results = [], []
        for first in range(0, len(inputs), packing.input_groups):
            pairs = self._answers(step, packing, examples, inputs[first : first + packing.input_groups])
            sent += [payload for payload, _ in pairs]
            results.append([share for _, share in pairs])
        return b"".join(sent), packing.assemble(results)

    def _answers(
        self, step: Product, packing: Packing, examples: int, inputs: list[seal.Ciphertext]
    ) -> list[tuple[bytes, Words]]:
        """For one piece what Alice is sent, and Bob's share of the results, for each group of outputs."""
        answers = []
        for group in range(packing.output_groups):
            weights = [self._weight(step, packing, examples, i, group) for i in range(len(inputs))]
            terms = [(each, weight) for each, weight in zip(inputs, weights, strict=True) if weight is not None]
            answers.append(self._evaluator.answer(terms, packing.result_places(group)))
        return answers

    def _weight(self, step: Product, packing: Packing, examples: int, inputs: int, group: int) -> seal.Plaintext | None:
        key = step.out, examples, inputs, group
        if key not in self._ready:
            polynomial = packing.weight_polynomial(self._weights[step.out], inputs, group)
            weight = self._evaluator.weight(polynomial)
            if (len(self._ready) + 1) * 8 * DEGREE * len(self._scheme.primes) > _MOST_CACHED:
                return weight
            self._ready[key] = weight
        return self._ready[key]


def choose_parameters(program: Program, bits: int, weights: Mapping[int, Words]) -> Parameters:
    """The smallest parameters whose answers hide ``weights`` by 40 bits.

    Raises :class:`ModelRefused` where none do, naming the layer.
    """
    for parameters in dict.fromkeys([Parameters.least(bits), Parameters(bits, True)]):
        refused = [step for step in program.products if _hiding(step, parameters, weights[step.out]) < STATISTICAL_BITS]
        if not refused:
            return parameters
    raise ModelRefused(
        "weights-too-large", f"the weights of {refused[0].name} are too large to be hidden: scale them down"
    )


def _hiding(step: Product, parameters: Parameters, weight: Words) -> float:
    """Statistical bits of a product's results; the norm is bounded by that of the whole weight, as it multiplies."""
    values = weight.view(np.int64).astype(np.float64)
    if isinstance(step.layer, layers.Scale):
        values = np.broadcast_to(values, step.input_shape)
    return statistical_bits(parameters, float(np.linalg.norm(values)))
