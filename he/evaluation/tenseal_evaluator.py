"""Mode ``tenseal``: the circuit over TenSEAL's public ``ckks_vector`` interface, as its users would write it.

One ciphertext holds the vector, copied over its slots.  A matrix product is ``ckks_vector.mm`` (the diagonal method:
one rotation per input), an activation is ``square`` and ``*`` after :mod:`sotto.he.network.circuit` has folded it, and
biases are encrypted when the session begins: adding a plain list would fill only the first slots, and the next product,
which reads the copies too, would silently be wrong.
"""

from __future__ import annotations

import tenseal as ts

from sotto.he.evaluation.contexts import load_vector, public_context
from sotto.he.messages import VERSION, Description
from sotto.he.network.circuit import Circuit, evaluate, fold
from sotto.he.network.network import PolynomialNetwork
from sotto.he.network.parameters import Parameters
from sotto.he.planning.vector_planning import Plan
from sotto.link import FrameError


class CiphertextArithmetic:
    """Arithmetic on ``ckks_vector``; relinearisation, rescaling and level matching are TenSEAL's."""

    def __init__(self, circuit: Circuit, context: ts.Context) -> None:
        self.matrices = [ts.plain_tensor(weight.tolist(), dtype="float") for weight in circuit.weights]
        self.biases = [ts.ckks_vector(context, bias.tolist()) for bias in circuit.biases]

    def affine(self, x: ts.CKKSVector, layer: int) -> ts.CKKSVector:
        return x.mm(self.matrices[layer]) + self.biases[layer]

    def square(self, x: ts.CKKSVector) -> ts.CKKSVector:
        return x.square()

    def multiply(self, x: ts.CKKSVector, y: ts.CKKSVector) -> ts.CKKSVector:
        return x * y

    def scale(self, x: ts.CKKSVector, factor: float) -> ts.CKKSVector:
        return x * factor

    def shift(self, x: ts.CKKSVector, constant: float) -> ts.CKKSVector:
        return x + constant

    def add(self, x: ts.CKKSVector, y: ts.CKKSVector) -> ts.CKKSVector:
        return x + y


class TensealModel:
    """A model loaded for this evaluator, without anybody's keys."""

    def __init__(self, network: PolynomialNetwork, plan: Plan, threads: int | None) -> None:
        self.network, self.plan = network, plan
        self._threads = threads
        parameters = plan.parameters
        self.query_bytes = parameters.query_bytes
        self.key_bytes = parameters.key_bytes
        self.description = Description(
            version=VERSION,
            inputs=network.inputs,
            classes=network.classes,
            ring_degree=parameters.ring_degree,
            base=parameters.base,
            levels=parameters.levels,
            scale_bits=parameters.scale_bits,
            special_bits=parameters.special_bits,
            proved=plan.proved,
            logit_bound=plan.logit_bound,
        )

    def open(self, material: bytes) -> TensealEvaluator:
        """A session with Alice's keys; :class:`sotto.link.FrameError` for keys that do not fit."""
        context = public_context(material, self.plan.parameters, self._threads)
        return TensealEvaluator(self.network, self.plan.parameters, context)


class TensealEvaluator:
    """Bob's evaluation of one network for one session's keys."""

    pending = False

    def __init__(self, network: PolynomialNetwork, parameters: Parameters, context: ts.Context) -> None:
        """``context`` is public (:func:`sotto.he.evaluation.contexts.public_context`) and fits ``parameters``."""
        self._context = context
        self._parameters = parameters
        self._inputs = network.inputs
        self._circuit = fold(network, parameters.ratios)
        self._arithmetic = CiphertextArithmetic(self._circuit, context)

    def take(self, ciphertext: bytes) -> list[bytes]:
        """The answers that this ciphertext completes: always one."""
        return [self.evaluate(ciphertext)]

    def evaluate(self, ciphertext: bytes) -> bytes:
        """The encrypted logits for one encrypted feature vector; :class:`sotto.link.FrameError` for a malformed one."""
        vector = load_vector(
            self._context,
            ciphertext,
            size=self._inputs,
            primes=len(self._parameters.chain) - 1,
            scale=2.0**self._parameters.scale_bits,
        )
        try:
            return evaluate(self._circuit, vector, self._arithmetic).serialize()
        except (ValueError, RuntimeError) as error:  # a scale or key that only shows when it is used
            raise FrameError(
                "not-evaluable", f"Alice's ciphertext cannot be evaluated ({error}): both sides need the same release"
            ) from None
