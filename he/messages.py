"""What Alice and Bob send one another: versioned msgpack under a schema, with sizes that follow from the parameters.

    Alice                                           Bob
      he.hello   Hello          ->
                                <-   he.model  Published        parameters, widths, bounds: public
      he.keys    Keys           ->                              size of the public material, then in pieces
      he.key     (raw bytes)    ->   ...
                                <-   he.ready  Ready
      he.query   Query          ->                              up to 16 ciphertexts
                                <-   he.answer Reply            one for each vector, as they are done
      ...

In mode ``batched`` a batch is one ciphertext for each input, over several ``he.query`` messages, and its answer one
ciphertext for each class.

Every field that sets a size is checked before anything of that size is allocated.  The ciphertexts and keys inside
are the libraries' serialisation, loaded by :mod:`sotto.he.evaluation.contexts` and :mod:`sotto.he.sealing`, which check
what came out.
"""

from __future__ import annotations

import math
from typing import Final, Literal, TypeVar

import msgspec

from sotto.he.network.packing import InputLayout
from sotto.he.network.parameters import MAX_LEVELS, Parameters, ParametersRefused
from sotto.he.network.schedule import Modulus
from sotto.he.tensors.slot_layout import InputGrid
from sotto.link import FrameError, Link, decode, encode

VERSION: Final[Literal[1]] = 1
MAX_PART = 16  # ciphertexts of one query message
MAX_ANSWERS = 4096  # ciphertexts that answer one query
PIECE = 1 << 24  # bytes of one piece of the keys
MAX_INPUTS = 1024
MAX_CLASSES = 16  # what Alice decrypts of an answer: a few numbers, not the whole ciphertext
MAX_TENSOR_INPUTS = 1 << 15  # two to each slot of the largest ring
MAX_TENSOR_CLASSES = 64  # words, not emotions: still few of the thousands of numbers in an answer
KEY_LIMIT = 1 << 31  # bytes of key material that Alice makes unless told otherwise

SMALL = 4096  # bytes: limit of the messages that hold no ciphertext

_MAX_STEPS = 64
_MAX_AXES = 5
_MAX_SCALE_BITS = 200

# No plan goes below these.  Lower ones would let the noise of a ciphertext show in what is decrypted.
_MIN_INPUT_BITS = 12
_MIN_ANSWER_SCALE = 2.0**20

Mode = Literal["packed", "batched", "tenseal"]
Message = TypeVar("Message", bound=msgspec.Struct)


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Alice opens a session."""

    version: Literal[1]


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="tenseal"):
    """What Bob publishes about his model.

    ``proved`` and the bounds are as in :class:`sotto.he.planning.vector_planning.Plan`.
    """

    version: Literal[1]
    inputs: int
    classes: int
    ring_degree: int
    base: tuple[int, ...]
    levels: int
    scale_bits: int
    special_bits: int
    proved: bool
    logit_bound: float

    def parameters(self) -> Parameters:
        """The parameter set, checked.  Raises :class:`sotto.link.FrameError` for one that is weak or malformed."""
        _check_model(self.inputs, self.classes, self.logit_bound)
        if len(self.base) > MAX_LEVELS:
            raise FrameError("bad-parameters", "Bob asks for unacceptable parameters: a chain of too many primes")
        try:
            parameters = Parameters(self.ring_degree, self.base, self.levels, self.scale_bits, self.special_bits)
        except ParametersRefused as error:
            raise FrameError(error.code, f"Bob asks for unacceptable parameters: {error}") from None
        if max(self.inputs, self.classes) > parameters.slots:
            raise FrameError("bad-model", "Bob describes a model that does not fit into a ciphertext")
        return parameters

    @property
    def key_bytes(self) -> int:
        """Most bytes of the public material that Alice is asked to make."""
        return self.parameters().key_bytes


class PackedDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="packed"):
    """The same in mode ``packed``: the chain, where features go and where logits come out
    (:mod:`sotto.he.network.packing`)."""

    version: Literal[1]
    inputs: int
    classes: int
    ring_degree: int
    chain: tuple[int, ...]
    input_bits: int
    answer_primes: int
    answer_scale: float
    steps: tuple[int, ...]
    block: int
    interleaved: int
    pairs: int
    period: int
    paired: bool
    flooded: bool
    proved: bool
    logit_bound: float

    def modulus(self) -> Modulus:
        """The chain, everything checked.  Raises :class:`sotto.link.FrameError` for what is weak or malformed."""
        _check_model(self.inputs, self.classes, self.logit_bound)
        modulus = _modulus(self.ring_degree, self.chain, self.input_bits, self.answer_primes, self.answer_scale)
        slots = modulus.slots
        _check_steps(self.steps, slots)
        _check_powers((self.block, self.interleaved, self.pairs, self.period), slots)
        blocks = self.pairs // self.interleaved
        held = _held(self.classes, self.paired)
        if self.inputs > 2 * self.pairs or held > self.period or blocks < 1 or self.block * blocks > slots:
            raise FrameError("bad-layout", "Bob describes a layout that does not hold the features or the logits")
        return modulus

    @property
    def key_bytes(self) -> int:
        """Most bytes of the public material that Alice is asked to make."""
        return self.modulus().key_bytes(len(self.steps) + 1)

    @property
    def layout(self) -> InputLayout:
        """Where features go."""
        return InputLayout(self.block, self.interleaved, self.pairs)


class TensorDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="packed-tensor"):
    """The same in mode ``packed`` for examples of several axes (:class:`sotto.he.tensors.slot_layout.InputGrid`)."""

    version: Literal[1]
    classes: int
    ring_degree: int
    chain: tuple[int, ...]
    input_bits: int
    answer_primes: int
    answer_scale: float
    steps: tuple[int, ...]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    split: int
    inner: bool
    overlap: int
    repeat: int
    period: int
    paired: bool
    flooded: bool
    proved: bool
    logit_bound: float

    def modulus(self) -> Modulus:
        """The chain, everything checked.  Raises :class:`sotto.link.FrameError` for what is weak or malformed."""
        axes = len(self.shape)
        if not 1 <= axes <= _MAX_AXES or len(self.strides) != axes or not -1 <= self.split < axes:
            raise FrameError(
                "bad-shape", "Bob describes examples of impossible shape: both sides need the same release"
            )
        if not all(1 <= length <= MAX_TENSOR_INPUTS for length in self.shape):
            raise FrameError(
                "bad-shape", "Bob describes examples of impossible shape: both sides need the same release"
            )
        _check_model(self.inputs, self.classes, self.logit_bound, MAX_TENSOR_INPUTS, MAX_TENSOR_CLASSES)
        modulus = _modulus(self.ring_degree, self.chain, self.input_bits, self.answer_primes, self.answer_scale)
        slots = modulus.slots
        _check_steps(self.steps, slots)
        _check_powers((self.repeat, self.period), slots)
        if not all(0 <= number < slots for number in (*self.strides, self.overlap)):
            raise FrameError("bad-layout", "Bob describes a layout that does not fit a ciphertext")
        if self.layout.extent > self.repeat or _held(self.classes, self.paired) > self.period:
            raise FrameError("bad-layout", "Bob describes a layout that does not hold the features or the logits")
        return modulus

    @property
    def inputs(self) -> int:
        return math.prod(self.shape)

    @property
    def key_bytes(self) -> int:
        """Most bytes of the public material that Alice is asked to make."""
        return self.modulus().key_bytes(len(self.steps) + 1)

    @property
    def layout(self) -> InputGrid:
        """Where features go."""
        return InputGrid(self.shape, self.strides, self.split, self.inner, self.overlap, self.repeat)


class BatchedDescription(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="mode", tag="batched"):
    """The same in mode ``batched``."""

    version: Literal[1]
    inputs: int
    classes: int
    ring_degree: int
    chain: tuple[int, ...]
    input_bits: int
    answer_primes: int
    answer_scale: float
    flooded: bool
    proved: bool
    logit_bound: float

    def modulus(self) -> Modulus:
        """The chain, everything checked.  Raises :class:`sotto.link.FrameError` for what is weak or malformed."""
        _check_model(self.inputs, self.classes, self.logit_bound)
        return _modulus(self.ring_degree, self.chain, self.input_bits, self.answer_primes, self.answer_scale)

    @property
    def key_bytes(self) -> int:
        """Most bytes of the public material that Alice is asked to make."""
        return self.modulus().key_bytes(1)


AnyDescription = Description | PackedDescription | TensorDescription | BatchedDescription


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What Bob publishes, whatever his mode."""

    model: AnyDescription


def _check_steps(steps: tuple[int, ...], slots: int) -> None:
    if len(steps) > _MAX_STEPS or not all(0 <= step < slots for step in steps):
        raise FrameError(
            "bad-rotations", "Bob asks for rotations that no program needs: both sides need the same release"
        )


def _check_powers(numbers: tuple[int, ...], slots: int) -> None:
    if not all(1 <= number <= slots and number & (number - 1) == 0 for number in numbers):
        raise FrameError("bad-layout", "Bob describes a layout that does not fit a ciphertext")


def _held(classes: int, paired: bool) -> int:
    """Least period of an answer: half of it shows overflow."""
    return 2 * ((classes + 1) // 2) if paired else classes


def _check_model(
    inputs: int, classes: int, logit_bound: float, most_inputs: int = MAX_INPUTS, most_classes: int = MAX_CLASSES
) -> None:
    if not (1 <= inputs <= most_inputs and 1 <= classes <= most_classes):
        raise FrameError("bad-model", "Bob describes a model of impossible size: both sides need the same release")
    if not 0 < logit_bound < float("inf"):
        raise FrameError("no-bound", "Bob declares no finite bound on its logits: do not use this model")


def _modulus(
    ring_degree: int, chain: tuple[int, ...], input_bits: int, answer_primes: int, answer_scale: float
) -> Modulus:
    try:
        modulus = Modulus(ring_degree, chain)
        _ = modulus.primes
    except ParametersRefused as error:
        raise FrameError(error.code, f"Bob asks for unacceptable parameters: {error}") from None
    if not (_MIN_INPUT_BITS <= input_bits <= sum(chain[:-1]) - 2 and input_bits <= _MAX_SCALE_BITS):
        raise FrameError("bad-scale", "Bob asks for features at a scale that does not fit the modulus")
    if not (1 <= answer_primes <= modulus.top and _MIN_ANSWER_SCALE <= answer_scale <= 2.0**_MAX_SCALE_BITS):
        raise FrameError("bad-answers", "Bob announces answers that do not fit the modulus")
    return modulus


class Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Announces ``size`` bytes of public key material, which follow in pieces of :data:`PIECE` bytes."""

    version: Literal[1]
    size: int


class Ready(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bob has the keys."""

    version: Literal[1]


class Query(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Encrypted feature vectors; ``last`` is false when the same query goes on in another message."""

    version: Literal[1]
    last: bool
    ciphertexts: tuple[bytes, ...]


class Reply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The encrypted logits of one vector."""

    version: Literal[1]
    ciphertext: bytes


def send_keys(link: Link, material: bytes) -> None:
    """Send public key material in pieces."""
    link.send("he.keys", encode(Keys(VERSION, len(material))))
    view = memoryview(material)
    for start in range(0, len(view), PIECE):
        link.send("he.key", view[start : start + PIECE])


def receive_keys(link: Link, limit: int, timeout: float | None = None) -> bytes:
    """Public key material of at most ``limit`` bytes, each piece within ``timeout`` seconds."""
    size = decode(link.receive("he.keys", limit=SMALL, timeout=timeout), Keys).size
    if not 0 < size <= limit:
        raise FrameError("keys-too-large", f"Alice announced {size} bytes of keys, at most {limit} fit the parameters")
    pieces = bytearray()
    while len(pieces) < size:
        piece = link.receive("he.key", limit=min(PIECE, size - len(pieces)), timeout=timeout)
        if not piece:
            raise FrameError("empty-piece", "Alice sent an empty piece of its keys")
        pieces += piece
    return bytes(pieces)


def query_limit(query_bytes: int) -> int:
    """Most bytes of a ``he.query`` payload whose ciphertexts have at most ``query_bytes``."""
    return MAX_PART * (query_bytes + 16) + SMALL


def open_query(data: bytes | bytearray, query_bytes: int) -> Query:
    """A query whose ciphertexts have at most ``query_bytes``, else :class:`sotto.link.FrameError`."""
    query = decode(data, Query)
    if not 1 <= len(query.ciphertexts) <= MAX_PART:
        raise FrameError("bad-count", f"a query message holds 1 to {MAX_PART} ciphertexts")
    if any(len(ciphertext) > query_bytes for ciphertext in query.ciphertexts):
        raise FrameError("ciphertext-too-large", "Alice sent a ciphertext larger than the parameters allow")
    return query


def receive_reply(link: Link, limit: int, timeout: float | None = None) -> bytes:
    """The next encrypted answer, of at most ``limit`` bytes."""
    reply = decode(link.receive("he.answer", limit=limit + SMALL, timeout=timeout), Reply)
    if len(reply.ciphertext) > limit:
        raise FrameError("ciphertext-too-large", "Bob sent a ciphertext larger than the parameters allow")
    return reply.ciphertext


def receive_small(link: Link, name: str, kind: type[Message], timeout: float | None = None) -> Message:
    """A message that holds no ciphertext."""
    return decode(link.receive(name, limit=SMALL, timeout=timeout), kind)
