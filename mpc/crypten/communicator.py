"""CrypTen's ``Communicator`` for two parties over a :class:`sotto.link.Link`, in the place of gloo.

What CrypTen counts as one collective is one frame each way: raw little-endian 64-bit words, nothing pickled.
Both sides know every shape beforehand, so a frame of any other size is refused before it is allocated; every
wait ends at the link's deadline; the bytes counted are the link's own.  The dealer is no member of the group
(see :mod:`sotto.mpc.crypten.triples`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.distributed import ReduceOp

from sotto.link import BadType, BadValue, FrameError, Link, decode, encode
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.graph.layers import MAX_DIMENSIONS

crypten = load_crypten()
Communicator: Any = crypten.communicator.Communicator

WORLD_SIZE = 2
WORD_BYTES = 8
_OBJECT_BYTES = 1024

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
        self._name = f"rank{rank}"
        self._before = link.traffic.snapshot()

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

    def set_name(self, name: str) -> None:
        self._name = name

    def get_name(self) -> str:
        return self._name

    # -- collectives: both parties send -------------------------------------------------------------------------

    def all_reduce(self, input: Tensors, op: Any = ReduceOp.SUM, batched: bool = False) -> Tensors:
        """The sum (or exclusive or) of both parties' tensors; a batch of tensors is one frame each way."""
        own = _as_list(input, batched)
        theirs = self._exchange("crypten.all_reduce", own)
        result = [_combine(a, b, op) for a, b in zip(own, theirs, strict=True)]
        return result if batched else result[0]

    def all_gather(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        """Both parties' tensors, rank 0's first."""
        (theirs,) = self._exchange("crypten.all_gather", [tensor])
        return [tensor.clone(), theirs] if self.rank == 0 else [theirs, tensor.clone()]

    def barrier(self) -> None:
        """Wait until the other party is here too."""
        self._exchange("crypten.barrier", [])

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

    def gather(self, tensor: torch.Tensor, dst: int) -> list[torch.Tensor | None]:
        """Both parties' tensors, rank 0's first, at party ``dst``."""
        if self.rank != dst:
            self._send("crypten.gather", [tensor])
            return [None]
        (theirs,) = self._receive("crypten.gather", [tensor])
        return [tensor.clone(), theirs] if self.rank == 0 else [theirs, tensor.clone()]

    def broadcast(self, input: Tensors, src: int, group: None = None, batched: bool = False) -> Tensors:
        """Party ``src``'s tensors in the place of everyone's."""
        tensors = _as_list(input, batched)
        if self.rank == src:
            self._send("crypten.broadcast", tensors)
        else:
            for own, theirs in zip(tensors, self._receive("crypten.broadcast", tensors), strict=True):
                own.copy_(theirs)
        return input

    def scatter(
        self, scatter_list: Sequence[torch.Tensor], src: int, size: Any = None, device: Any = None
    ) -> torch.Tensor:
        """Party ``src`` deals ``scatter_list[rank]`` to every party; the others say the ``size`` they expect."""
        if self.rank == src:
            self._send("crypten.scatter", [scatter_list[1 - self.rank]])
            return scatter_list[self.rank]
        shape = scatter_list[self.rank].size() if size is None else size
        return self._receive("crypten.scatter", [torch.empty(shape, dtype=torch.long)])[0]

    # -- from one party to the other ----------------------------------------------------------------------------

    def send(self, tensor: torch.Tensor, dst: int) -> None:
        self._require_other(dst)
        self._send("crypten.send", [tensor])

    def recv(self, tensor: torch.Tensor, src: int | None = None) -> torch.Tensor:
        """A tensor of the shape of ``tensor``, which stays as it is."""
        self._require_other(1 - self.rank if src is None else src)
        return self._receive("crypten.send", [tensor])[0]

    def isend(self, tensor: torch.Tensor, dst: int) -> _Done:
        self.send(tensor, dst)
        return _Done()

    def irecv(self, tensor: torch.Tensor, src: int | None = None) -> _Arriving:
        return _Arriving(self, tensor, src)

    def send_obj(self, obj: Sequence[int], dst: int, group: None = None) -> None:
        """Send the shape of a tensor; CrypTen's other objects are pickles and are refused."""
        self._require_other(dst)
        self.link.send("crypten.shape", encode(_shape(obj)))

    def recv_obj(self, src: int, group: None = None) -> torch.Size:
        self._require_other(src)
        shape = decode(self.link.receive("crypten.shape", limit=_OBJECT_BYTES), tuple[int, ...])
        if len(shape) > MAX_DIMENSIONS or any(length < 0 for length in shape):
            raise FrameError("bad-shape", "the peer sent something that is no shape of a tensor")
        return torch.Size(shape)

    def broadcast_obj(self, obj: Sequence[int] | None, src: int, group: None = None) -> Sequence[int]:
        if self.rank != src:
            return self.recv_obj(src)
        shape = _shape(obj)
        self.send_obj(shape, 1 - self.rank)
        return torch.Size(shape)

    # -- statistics ---------------------------------------------------------------------------------------------

    def reset_communication_stats(self) -> None:
        self._before = self.link.traffic.snapshot()

    def get_communication_stats(self) -> dict[str, int]:
        """Rounds, and bytes sent plus received, of this party's link since the last reset."""
        new = self.link.traffic.since(self._before)
        return {"rounds": new.rounds, "bytes": new.bytes_sent + new.bytes_received}

    def print_communication_stats(self) -> None:
        stats = self.get_communication_stats()
        crypten.log(f"rounds: {stats['rounds']}, bytes: {stats['bytes']}")

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


class _Done:
    """A request that has been carried out already."""

    def is_completed(self) -> bool:
        return True

    def wait(self) -> None:
        """Nothing is left to wait for."""


class _Arriving:
    """A request whose tensor is filled when it is waited for."""

    def __init__(self, communicator: LinkCommunicator, tensor: torch.Tensor, src: int | None) -> None:
        self._communicator = communicator
        self._tensor = tensor
        self._src = src
        self._completed = False

    def is_completed(self) -> bool:
        return self._completed

    def wait(self) -> None:
        if not self._completed:
            self._tensor.copy_(self._communicator.recv(self._tensor, self._src))
            self._completed = True


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


def _shape(obj: Sequence[int] | None) -> tuple[int, ...]:
    if not isinstance(obj, (tuple, list)) or not all(isinstance(length, int) for length in obj):
        raise BadType("never-pickled", "only shapes of tensors are sent as objects; nothing is pickled here")
    return tuple(int(length) for length in obj)
