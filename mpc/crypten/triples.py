"""Beaver triples from CrypTen's trusted third party, asked for over links while the query runs.

Stock protocol (``crypten.mpc.provider.ttp_provider``): the dealer gives each party a seed once; both parties
and the dealer draw everybody's shares from those seeds; only the one correction that makes the triple right is
sent, and only to party 0, who asks for it in the middle of the query.  So the dealer's time is online time.
Two things differ from the stock program: seeds come from the operating system, where the stock server takes
them from torch's fixed default seed, and requests are checked against a schema and a size limit, where the
stock server unpickles them.

The dealer must not collude with either party: it knows every mask.  What torch does with the seeds is the
weakness of this mode; see :mod:`sotto.mpc.attacks`.
"""

from __future__ import annotations

import math
import secrets
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import torch

from sotto.link import FrameError, Link, WrongState, decode, encode, transaction
from sotto.mpc.crypten.communicator import WORD_BYTES, tensor_of, words_of
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.errors import reason
from sotto.mpc.graph.layers import MAX_DIMENSIONS, MAX_ELEMENTS, Convolution, Shape

crypten = load_crypten()
TTPServer: Any = crypten.mpc.provider.ttp_provider.TTPServer

Operation = Literal["mul", "matmul", "conv1d", "conv2d"]
REQUEST_BYTES = 4096
_MAX_PRODUCTS = 1 << 34  # multiplications in one request: half a minute of work


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A convolution's options, as PyTorch takes them."""

    stride: int | Shape = 1
    padding: int | Shape = 0
    dilation: int | Shape = 1
    groups: int = 1


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What party 0 asks for: the function, the shapes of its operands, and a product's operation and options."""

    function: Literal["additive", "square", "binary", "wraps", "B2A"]
    shapes: tuple[Shape, ...]
    operation: Operation | None = None
    options: Options | None = None


class TripleClient:
    """A party's side, in the place of CrypTen's ``TTPClient``: its generator, and for party 0 the requests."""

    instance: ClassVar[TripleClient | None] = None

    def __init__(self, rank: int, dealer: Link) -> None:
        self._rank = rank
        self._dealer = dealer
        seed = dealer.receive("dealer.seed", limit=8)
        self._generator = _generator(int.from_bytes(seed, "little", signed=True))

    @classmethod
    def get(cls) -> TripleClient:
        if cls.instance is None:
            raise WrongState("no-dealer", "no dealer is connected: open a session first")
        return cls.instance

    def get_generator(self, device: Any = None) -> torch.Generator:
        return self._generator

    def ttp_request(self, func_name: str, device: Any, *args: Any, **options: Any) -> torch.Tensor:
        """The dealer's correction for one triple, int64."""
        shapes = tuple(tuple(arg) for arg in args if not isinstance(arg, str))
        operation = next((arg for arg in args if isinstance(arg, str)), None)
        asked = {"function": func_name, "shapes": shapes, "operation": operation, "options": options or None}
        request = msgspec.convert(asked, Request)
        shape = _result_shape(request)
        with transaction(self._dealer, reason=reason):
            self._dealer.send("dealer.request", encode(request))
            payload = self._dealer.receive("dealer.correction", limit=WORD_BYTES * math.prod(shape))
        return tensor_of(payload, shape)


class TripleServer(TTPServer):
    """The dealer's side of one session: stock arithmetic on our own seeds."""

    def __init__(self, links: tuple[Link, Link]) -> None:
        self.device = "cpu"
        seeds = [secrets.randbits(64) - 2**63 for _ in links]
        self.generators = [_generator(seed) for seed in seeds]
        self.generators_cuda = [None, None]
        for link, seed in zip(links, seeds, strict=True):
            link.send("dealer.seed", seed.to_bytes(8, "little", signed=True))

    def correction(self, payload: bytearray) -> memoryview:
        """Serve one encoded request.  Raises :class:`FrameError` for one that is malformed or too large."""
        request = decode(payload, Request)
        shape = _result_shape(request)
        if max(map(math.prod, (*request.shapes, shape))) > MAX_ELEMENTS:
            raise FrameError(
                "too-many-triples",
                f"alice asked for triples of more than {MAX_ELEMENTS} elements: send smaller batches",
            )
        operation = () if request.operation is None else (request.operation,)
        options = {} if request.options is None else msgspec.structs.asdict(request.options)
        return words_of(getattr(self, request.function)(*map(torch.Size, request.shapes), *operation, **options))


def _result_shape(request: Request) -> Shape:
    """Shape of the correction, found without computing it.  Raises :class:`FrameError` where operands do not fit."""
    shapes = request.shapes
    pair = request.function in ("additive", "binary")
    fits = (
        len(shapes) == (2 if pair else 1)
        and (request.operation is not None) == (request.function == "additive")
        and (request.options is not None) == (request.operation in ("conv1d", "conv2d"))
        and all(len(shape) <= MAX_DIMENSIONS + 2 and all(0 <= n <= MAX_ELEMENTS for n in shape) for shape in shapes)
    )
    if not fits:
        raise FrameError("bad-request", "a request for triples does not fit its function")
    try:
        result, inner = _product_shape(request) if pair else (shapes[0], 1)
    except (ValueError, IndexError, ZeroDivisionError):
        raise FrameError("bad-request", "a request for triples names operands that do not fit together") from None
    if math.prod(result) * inner > _MAX_PRODUCTS:
        raise FrameError("too-much-work", "a request for triples asks for too much work at once: send smaller batches")
    return result


def _product_shape(request: Request) -> tuple[Shape, int]:
    """Shape of a product and how many terms each element sums up.  Raises ``ValueError`` where operands do not fit."""
    left, right = request.shapes
    if request.options is not None:
        axes = 1 if request.operation == "conv1d" else 2
        if not len(left) == len(right) == axes + 2:
            raise ValueError("a convolution has other axes")
        given = request.options
        stride, padding, dilation = (_sizes(v, axes) for v in (given.stride, given.padding, given.dilation))
        layer = Convolution(0, left[1], right[0], right[2:], stride, padding, dilation, given.groups, False)
        result = layer.output([left[1:]])
        if layer.parameters["weight"] != right:
            raise ValueError("the kernel has other channels")
        return (left[0], *result), math.prod(right[1:])
    if request.operation == "matmul":
        if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
            raise ValueError("matrices do not fit")
        return (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-1]), left[-1]
    return np.broadcast_shapes(left, right), 1


def _sizes(value: int | Shape, axes: int) -> Shape:
    return (value,) * axes if isinstance(value, int) else value


def _generator(seed: int) -> torch.Generator:
    generator = torch.Generator(device="cpu")
    generator.manual_seed(seed)
    return generator
