"""OpenFHE's CKKS as its users write it: Alice and Bob in two processes over TCP, a polynomial MLP by diagonals.

``python openfhe_program.py FOLDER`` (:mod:`sotto.bench.peers.job`) in an environment of its own that has ``openfhe``
and NumPy; this file and the modules beside it need nothing else, and Python 3.10.

Alice makes the keys.  Bob gets the context and the keys for relinearisation and for the rotations in use; her secret
key stays in her process, the weights in his.  The library chooses the ring for 128-bit security and the depth; a query
of one example leaves most of the slots empty.  Decryptions are Alice's alone: OpenFHE adds noise to them by default,
which makes it harder to compute her key from them, not impossible (CKKS is not IND-CPA-D secure).
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

# These files are found beside this one, which is run by its path.
from diagonals import (  # type: ignore[import-not-found]
    Layer,
    Product,
    complete_squares,
    depth,
    evaluate,
    products,
    spread,
    width,
)
from framing import MEGABYTE  # type: ignore[import-not-found]
from tcp_parties import respond_connected  # type: ignore[import-not-found]
from two_processes import (  # type: ignore[import-not-found]
    Report,
    milliseconds_since,
    read_request,
    take_queries,
)

_CONTEXT_LIMIT, _KEYS_LIMIT, _CIPHERTEXT_LIMIT = MEGABYTE, 4096 * MEGABYTE, 64 * MEGABYTE
_READY = b"ready"

#: The library's usual precision.  The first modulus leaves room for logits up to 2**9.
_SCALE_BITS, _FIRST_BITS = 50, 60


def main(folder: Path) -> None:
    """Do what the folder asks and write ``response.json``."""
    respond_connected(folder, "OpenFHE", alice, bob)


def alice(folder: Path, link: Any) -> Report:
    """Alice's whole part."""
    return _Alice(folder, link).run()


def bob(folder: Path, link: Any) -> Report:
    """Bob's whole part."""
    return _Bob(folder, link).run()


class _Party:
    """What both know: the network's public shape and polynomials, and how many queries there will be."""

    def __init__(self, folder: Path, link: Any) -> None:
        import openfhe  # type: ignore[import-not-found]

        self.openfhe, self.folder, self.link = openfhe, folder, link
        self.request = read_request(folder)
        description = json.loads(self.request["network"])
        self.widths, self.polynomials = description["widths"], description["polynomials"]
        self.products: list[Product] = products(self.widths)
        self.width: int = width(self.products)

    def _stride(self, context: Any) -> int:
        """How many examples one ciphertext takes."""
        stride = int(context.GetRingDimension()) // 2 // self.width
        if stride < max(1, self.request["batch"]):
            raise ValueError(f"a ciphertext takes {stride} examples, fewer than the {self.request['batch']} of a batch")
        return stride

    def _serialised(self, thing: Any) -> bytes:
        return bytes(self.openfhe.Serialize(thing, self.openfhe.BINARY))


class _Alice(_Party):
    """Has the clips and the secret key; times every query from features to classes."""

    def run(self) -> Report:
        with np.load(self.folder / "arrays.npz", allow_pickle=False) as arrays:
            self.queries = arrays["queries"]
        started = time.perf_counter()
        self._make_keys()
        key_bytes = self._send_keys()
        if self.link.receive(len(_READY)) != _READY:
            raise ValueError("Bob said something else than that it is ready")
        setup = milliseconds_since(started)
        self.scores: list[list[float]] = []
        versions = {"openfhe": self.openfhe.__version__}
        return take_queries(
            self.request,
            self._ask,
            setup_ms=setup,
            key_bytes=key_bytes,
            scores=self.scores,
            rounds=1,
            versions=versions,
        )

    def _make_keys(self) -> None:
        openfhe = self.openfhe
        parameters = openfhe.CCParamsCKKSRNS()
        parameters.SetMultiplicativeDepth(depth(self.products))
        parameters.SetScalingModSize(_SCALE_BITS)
        parameters.SetFirstModSize(_FIRST_BITS)
        parameters.SetScalingTechnique(openfhe.FIXEDMANUAL)
        parameters.SetSecurityLevel(openfhe.HEStd_128_classic)
        self.context = openfhe.GenCryptoContext(parameters)
        for feature in (openfhe.PKE, openfhe.KEYSWITCH, openfhe.LEVELEDSHE):
            self.context.Enable(feature)
        self.stride = self._stride(self.context)
        self.keys = self.context.KeyGen()
        self.context.EvalMultKeyGen(self.keys.secretKey)
        turns = sorted({turn for product in self.products for turn in product.turns})
        self.context.EvalRotateKeyGen(self.keys.secretKey, [turn * self.stride for turn in turns])

    def _send_keys(self) -> int:
        """Give Bob what is public; how many bytes of it are keys."""
        self.link.send(self._serialised(self.context))
        relinearisation = self.openfhe.SerializeEvalMultKeyString(self.openfhe.BINARY)
        self.link.send(relinearisation)
        rotations = self.openfhe.SerializeEvalAutomorphismKeyString(self.openfhe.BINARY)
        self.link.send(rotations)
        return len(relinearisation) + len(rotations)

    def _ask(self, start: int, stop: int) -> tuple[float, list[int]]:
        """One query: milliseconds from features to classes, and the classes."""
        started = time.perf_counter()
        slots = spread(self.queries[start:stop], self.products[0].columns, self.width, self.stride)
        plaintext = self.context.MakeCKKSPackedPlaintext(slots)
        self.link.send(self._serialised(self.context.Encrypt(self.keys.publicKey, plaintext)))
        payload = self.link.receive(_CIPHERTEXT_LIMIT)
        answer = self.openfhe.DeserializeCiphertextString(payload, self.openfhe.BINARY)
        decrypted = np.array(self.context.Decrypt(self.keys.secretKey, answer).GetRealPackedValue())
        logits = decrypted.reshape(self.width, self.stride)[: self.widths[-1], : stop - start].T
        labels = [int(label) for label in logits.argmax(axis=1)]
        elapsed = milliseconds_since(started)
        self.scores[start:stop] = logits.tolist()
        return elapsed, labels


class _Bob(_Party):
    """Has the weights; evaluates what he gets."""

    def run(self) -> Report:
        self._receive_keys()
        self._encode(self._stride(self.context))
        self.link.send(_READY)
        return take_queries(self.request, self._serve)

    def _receive_keys(self) -> None:
        openfhe = self.openfhe
        context = self.link.receive(_CONTEXT_LIMIT)
        self.context = openfhe.DeserializeCryptoContextString(context, openfhe.BINARY)
        openfhe.DeserializeEvalMultKeyString(self.link.receive(_KEYS_LIMIT), openfhe.BINARY)
        openfhe.DeserializeEvalAutomorphismKeyString(self.link.receive(_KEYS_LIMIT), openfhe.BINARY)

    def _encode(self, stride: int) -> None:
        """The weights as plaintexts, each at the level at which it is used."""
        with np.load(self.folder / "arrays.npz", allow_pickle=False) as arrays:
            matrices, biases = (
                [arrays[f"{number}.{name}"].astype(np.float64) for number in range(len(self.products))]
                for name in ("weight", "bias")
            )
        matrices, biases = complete_squares(matrices, biases, self.polynomials)
        self.arithmetic = _Ciphertexts(self.context, stride)
        self.layers = []
        for number, (product, matrix, bias) in enumerate(zip(self.products, matrices, biases, strict=True)):
            weights = np.repeat(product.weights(matrix, self.width), stride, axis=1)
            self.layers.append(
                Layer(
                    product,
                    [self.context.MakeCKKSPackedPlaintext(diagonal, 1, 2 * number) for diagonal in weights],
                    self.context.MakeCKKSPackedPlaintext(
                        spread(np.tile(bias, (stride, 1)), product.rows, self.width, stride), 1, 2 * number + 1
                    ),
                )
            )

    def _serve(self, start: int, stop: int) -> tuple[float, list[int]]:
        payload = self.link.receive(_CIPHERTEXT_LIMIT)
        query = self.openfhe.DeserializeCiphertextString(payload, self.openfhe.BINARY)
        self.link.send(self._serialised(evaluate(self.layers, query, self.arithmetic)))
        return 0.0, []


class _Ciphertexts:
    """OpenFHE's ciphertexts as :class:`sotto.bench.peers.programs.diagonals.Arithmetic`."""

    def __init__(self, context: Any, stride: int) -> None:
        self.context, self.stride = context, stride

    def turned(self, x: Any, steps: Sequence[int]) -> list[Any]:
        """Hoisted: the ciphertext is decomposed once for all of them."""
        digits = self.context.EvalFastRotationPrecompute(x)
        return [self.context.EvalFastRotation(x, step * self.stride, digits) if step else x for step in steps]

    def turn(self, x: Any, step: int) -> Any:
        return self.context.EvalRotate(x, step * self.stride)

    def weigh(self, values: Sequence[Any], weights: Sequence[Any]) -> Any:
        total = self.context.EvalMult(values[0], weights[0])
        for value, weight in zip(values[1:], weights[1:], strict=True):
            self.context.EvalAddInPlace(total, self.context.EvalMult(value, weight))
        return total

    def add(self, x: Any, y: Any) -> Any:
        return self.context.EvalAdd(x, y)

    def shift(self, x: Any, bias: Any) -> Any:
        return self.context.EvalAdd(x, bias)

    def rescale(self, x: Any) -> Any:
        return self.context.Rescale(x)

    def square(self, x: Any) -> Any:
        return self.context.EvalSquare(x)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
