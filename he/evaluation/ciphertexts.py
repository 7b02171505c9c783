"""The machine that computes on ciphertexts, with SEAL's own operations (``tenseal.sealapi``) on one thread.

A payload is a list of ciphertexts: one for the packed evaluator, one for each unit for the batched.  Constants are
encoded once, at the level and scale where the program uses them (:class:`Encoded`), without any of Alice's keys.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np
import tenseal.sealapi as seal

from sotto.he.network.network import ModelRefused
from sotto.he.network.program import Constant, Machine, Scales, UnitLayer, Value
from sotto.he.network.schedule import Schedule, phases, seal_context
from sotto.he.planning.memory import MEMORY_LIMIT, Needs, require_memory
from sotto.he.sealing import galois_elements, parms_ids

Ciphertexts = list[seal.Ciphertext]


@dataclass(frozen=True, repr=False)
class EvaluationKeys:
    """Alice's public material that Bob computes with; ``galois`` is None for programs without rotations."""

    relinearisation: seal.RelinKeys
    galois: seal.GaloisKeys | None


class Encoder:
    """Encodes at any level of a schedule's chain."""

    def __init__(self, schedule: Schedule) -> None:
        context = seal_context(schedule.modulus)
        self._encoder = seal.CKKSEncoder(context)
        self._ids = parms_ids(context)

    def plaintext(self, constant: Constant, level: int) -> seal.Plaintext:
        """A plaintext that is not zero, whose product SEAL would refuse as transparent.

        A constant that rounds to zero becomes the least number the scale has, which is below the rounding error.
        """
        plaintext = self._encode(constant, level)
        if plaintext.is_zero():
            plaintext = self._encode(Constant(constant.name, 1 / constant.scale, constant.scale), level)
        return plaintext

    def _encode(self, constant: Constant, level: int) -> seal.Plaintext:
        plaintext = seal.Plaintext()
        value = constant.value
        slots = float(np.real(value)) if np.ndim(value) == 0 else np.asarray(value).tolist()
        self._encoder.encode(slots, self._ids[level], constant.scale, plaintext)
        return plaintext


class Encoded:
    """All constants of a program, encoded: made once when a model is loaded.

    ``bytes``: what they take in memory; ``memory``: what all of a session does, as reckoned.
    """

    def __init__(
        self,
        schedule: Schedule,
        program: Callable[[Scales], object],
        *,
        switching_keys: int = 0,
        ciphertexts: int = 0,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        """``program`` runs the program on the machine it is given; the others are as in
        :class:`sotto.he.planning.memory.Needs`.

        Raises
        ------
        ModelRefused
            it cannot be encoded, or would take more memory than ``memory_limit`` bytes.
        """
        scales = Scales(schedule)
        program(scales)
        needs = Needs([level for _, level in scales.constants.values()], switching_keys, ciphertexts)
        require_memory(schedule, needs, memory_limit)
        self.bytes, self.memory = needs.memory(schedule).constants, needs.memory(schedule).total
        encoder = Encoder(schedule)
        try:
            self.plaintexts: dict[Hashable, seal.Plaintext] = {
                name: encoder.plaintext(constant, level) for name, (constant, level) in scales.constants.items()
            }
        except ValueError as error:
            raise ModelRefused(
                "not-encodable", f"one of its weights cannot be encoded ({error}): scale the model down"
            ) from None


class CiphertextMachine(Machine[Ciphertexts]):
    """One session's keys and one model's constants; SEAL raises ValueError for ciphertexts that do not fit."""

    def __init__(self, schedule: Schedule, encoded: Encoded, keys: EvaluationKeys) -> None:
        super().__init__(schedule)
        self.context = seal_context(schedule.modulus)
        self._evaluator = seal.Evaluator(self.context)
        self._ids = parms_ids(self.context)
        self._plaintexts = encoded.plaintexts
        self._encoder = Encoder(schedule)
        self._keys = keys
        self._ring_degree = schedule.modulus.ring_degree
        self._monomials: dict[int, seal.Plaintext] = {}

    def _times(self, x: Value[Ciphertexts], constant: Constant) -> Ciphertexts:
        plaintext = self._plaintexts[constant.name]
        return [self._into(self._evaluator.multiply_plain, c, plaintext) for c in x.payload]

    def _plus(self, x: Value[Ciphertexts], constant: Constant) -> Ciphertexts:
        plaintext = self._plaintexts[constant.name]
        return [self._into(self._evaluator.add_plain, c, plaintext) for c in x.payload]

    def _add(self, x: Value[Ciphertexts], y: Value[Ciphertexts], related: bool) -> Ciphertexts:
        return [self._into(self._evaluator.add, a, b) for a, b in zip(x.payload, y.payload, strict=True)]

    def _combine(self, x: Value[Ciphertexts], layer: UnitLayer) -> Ciphertexts:
        return [self._weighted(x, layer, output) for output in range(len(layer.biases))]

    def _weighted(self, x: Value[Ciphertexts], layer: UnitLayer, output: int) -> seal.Ciphertext:
        """One output of a layer.  Its weights are encoded as they are used: all of them would fill gigabytes."""
        total, product = seal.Ciphertext(), seal.Ciphertext()
        for index, (ciphertext, weight) in enumerate(zip(x.payload, layer.weights[:, output], strict=True)):
            plaintext = self._encoder.plaintext(Constant(None, float(weight), layer.scale), x.level)
            self._evaluator.multiply_plain(ciphertext, plaintext, product if index else total)
            if index:
                self._evaluator.add_inplace(total, product)
        bias = Constant(None, float(layer.biases[output]), total.scale)
        self._evaluator.add_plain_inplace(total, self._encoder.plaintext(bias, x.level))
        return total

    def _square(self, x: Value[Ciphertexts]) -> Ciphertexts:
        return [self._into(self._evaluator.square, c) for c in x.payload]

    def _multiply(self, x: Value[Ciphertexts], y: Value[Ciphertexts]) -> Ciphertexts:
        return [self._into(self._evaluator.multiply, a, b) for a, b in zip(x.payload, y.payload, strict=True)]

    def _rotate(self, x: Value[Ciphertexts], step: int) -> Ciphertexts:
        element = galois_elements((step,), self._ring_degree)[0]
        return [self._into(self._evaluator.apply_galois, c, element, self._keys.galois) for c in x.payload]

    def _conjugate(self, x: Value[Ciphertexts]) -> Ciphertexts:
        return self._rotate(x, 0)

    def _turn_phase(self, x: Value[Ciphertexts]) -> Ciphertexts:
        monomial = self._monomials.get(x.level)
        if monomial is None:
            constant = Constant(None, phases(self._ring_degree // 2), 1.0)
            monomial = self._monomials[x.level] = self._encoder.plaintext(constant, x.level)
        return [self._into(self._evaluator.multiply_plain, c, monomial) for c in x.payload]

    def _relinearise(self, x: Value[Ciphertexts]) -> Ciphertexts:
        return [self._into(self._evaluator.relinearize, c, self._keys.relinearisation) for c in x.payload]

    def _rescale(self, x: Value[Ciphertexts], scale: float) -> Ciphertexts:
        return [self._into(self._evaluator.rescale_to_next, c) for c in x.payload]

    def _drop(self, x: Value[Ciphertexts], level: int) -> Ciphertexts:
        return [self._into(self._evaluator.mod_switch_to, c, self._ids[level]) for c in x.payload]

    @staticmethod
    def _into(operation: Callable[..., None], *operands: object) -> seal.Ciphertext:
        result = seal.Ciphertext()
        operation(*operands, result)
        return result
