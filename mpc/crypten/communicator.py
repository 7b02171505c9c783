"""CrypTen's ``Communicator`` for two parties over a :class:`sotto.link.Link`, in the place of gloo.

What CrypTen counts as one collective is one frame each way: raw little-endian 64-bit words, nothing pickled.
Both sides know every shape beforehand, so a frame of any other size is refused before it is allocated; every
wait ends at the link's deadline; the bytes counted are the link's own.  The dealer is no member of the group
(see :mod:`sotto.mpc.crypten.triples`).  What CrypTen's tensors of two parties ask for is here, and no more: other
collectives, among them those that send pickled objects, raise CrypTen's own ``NotImplementedError``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch.distributed import ReduceOp

from sotto.link import BadType, BadValue, FrameError, Link
from sotto.mpc.crypten.torch_shim import load_crypten

crypten = load_crypten()
Communicator: Any = crypten.communicator.Communicator

WORLD_SIZE = 2
WORD_BYTES = 8

Tensors = torch.Tensor | list[torch.Tensor]


class LinkCommunicator(Communicator):
    """Party ``rank`` (0 or 1) of two; ``link`` leads to the other one.  CrypTen knows one instance per process."""

    BYTES_PER_ELEMENT = WORD_BYTES
    instance: ClassVar[LinkCommunicator | None] = None

    def __init__(self, rank: int, link: Link) -> None:
        if rank not in (0, 1):
            raise BadValue("wrong-rank", f"a party of two has rank 0 or 1, not {rank}")
        self.rank = rank
        self.link = link

    # -- what CrypTen asks of the class itself ------------------------------------------------------------------

    @classmethod
    def initialize(cls, rank: int, link: Link) -> None:
        cls.instance = cls(rank, link)

    @classmethod
    def is_initialized(cls) -> bool:
        return cls.instance is not None

    @classmethod
    def get(cls) -> LinkCommunicator | None:
        return cls.instance

    @classmethod
    def shutdown(cls) -> None:
        cls.instance = None

    def get_world_size(self) -> int:
        return WORLD_SIZE

    def get_rank(self) -> int:
        return self.rank

    # -- collectives: both parties send -------------------------------------------------------------------------

    def all_reduce(self, input: Tensors, op: Any = ReduceOp.SUM, batched: bool = False) -> Tensors:
        """The sum (or exclusive or) of both parties' tensors; a batch of tensors is one frame each way."""
        own = _as_list(input, batched)
        theirs = self._exchange("crypten.all_reduce", own)
        result = [_combine(a, b, op) for a, b in zip(own, theirs, strict=True)]
        return result if batched else result[0]

    # -- collectives: one party sends ---------------------------------------------------------------------------

    def reduce(self, input: Tensors, dst: int, op: Any = ReduceOp.SUM, batched: bool = False) -> Tensors | None:
        """The sum (or exclusive or) of both parties' tensors at party ``dst``; the other one gets None."""
        own = _as_list(input, batched)
        if self.rank != dst:
            self._send("crypten.reduce", own)
            return None
        theirs = self._receive("crypten.reduce", own)
        result = [_combine(a, b, op) for a, b in zip(own, theirs, strict=True)]
        return result if batched else result[0]

    def broadcast(self, input: Tensors, src: int, group: None = None, batched: bool = False) -> Tensors:
        """Party ``src``'s tensors in the place of everyone's."""
        tensors = _as_list(input, batched)
        if self.rank == src:
            self._send("crypten.broadcast", tensors)
        else:
            for own, theirs in zip(tensors, self._receive("crypten.broadcast", tensors), strict=True):
                own.copy_(theirs)
        return input

    # -- from one party to the other ----------------------------------------------------------------------------

    def isend(self, tensor: torch.Tensor, dst: int) -> _Request:
        self._require_other(dst)
        self._send("crypten.send", [tensor])
        return _Request(lambda: None)

    def irecv(self, tensor: torch.Tensor, src: int) -> _Request:
        self._require_other(src)
        return _Request(lambda: tensor.copy_(self._receive("crypten.send", [tensor])[0]))

    # -- frames -------------------------------------------------------------------------------------------------

    def _exchange(self, name: str, tensors: list[torch.Tensor]) -> list[torch.Tensor]:
        payload = _words(tensors)
        return _tensors(self.link.exchange(name, payload, limit=payload.nbytes), [t.shape for t in tensors])

    def _send(self, name: str, tensors: list[torch.Tensor]) -> None:
        self.link.send(name, _words(tensors))

    def _receive(self, name: str, like: list[torch.Tensor]) -> list[torch.Tensor]:
        shapes = [tensor.shape for tensor in like]
        limit = WORD_BYTES * sum(shape.numel() for shape in shapes)
        return _tensors(self.link.receive(name, limit=limit), shapes)

    def _require_other(self, rank: int) -> None:
        if rank != 1 - self.rank:
            raise BadValue("wrong-rank", f"party {self.rank} of two cannot talk to party {rank}")


@dataclass(frozen=True)
class _Request:
    """What is left to do of a message; CrypTen waits for each once."""

    wait: Callable[[], Any]


def words_of(tensor: torch.Tensor) -> memoryview:
    """A tensor's 64-bit words, little-endian, as the bytes that go over a link."""
    return _words([tensor])


def tensor_of(payload: bytearray, shape: Sequence[int]) -> torch.Tensor:
    """The int64 tensor of ``shape`` that a peer's payload holds.  Raises :class:`FrameError` for another size."""
    return _tensors(payload, [torch.Size(shape)])[0]


def _words(tensors: list[torch.Tensor]) -> memoryview:
    for tensor in tensors:
        if tensor.dtype != torch.long:
            raise BadType("wrong-dtype", f"only shares of 64-bit words go over this link, not {tensor.dtype}")
    flat = [tensor.detach().contiguous().view(-1).numpy() for tensor in tensors]
    words = np.concatenate(flat or [np.empty(0, np.int64)]) if len(flat) != 1 else flat[0]
    return memoryview(words.astype("<i8", copy=False).view(np.uint8).data)


def _tensors(payload: bytearray, shapes: list[torch.Size]) -> list[torch.Tensor]:
    if len(payload) != WORD_BYTES * sum(shape.numel() for shape in shapes):
        raise FrameError(
            "other-shape", "the peer's tensors have other shapes: both sides need the same plan and release"
        )
    words = torch.from_numpy(np.frombuffer(payload, "<i8").astype(np.int64, copy=False))
    flat = words.split([shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(flat, shapes, strict=True)]


def _as_list(input: Tensors, batched: bool) -> list[torch.Tensor]:
    if batched != isinstance(input, list):
        raise BadType("not-a-list", "a batched collective takes a list of tensors, another one a tensor")
    return input if isinstance(input, list) else [input]


def _combine(a: torch.Tensor, b: torch.Tensor, op: Any) -> torch.Tensor:
    if op == ReduceOp.SUM:
        return a + b
    if op == ReduceOp.BXOR:
        return a ^ b
    raise BadValue("unknown-operation", f"two parties add shares or exclusive-or them; {op} is neither")
