"""The hash that turns correlated transfers into random ones: tweakable, from AES under public keys.

    H(x, i) = P(P(x) + i) + P(x)        P = AES-128 under a key of i's, + is XOR

Correlation robust for any tweaks in the ideal cipher model: Guo, Katz, Wang and Yu, "Efficient and secure multiparty
computation from fixed-key block ciphers" (IEEE S&P 2020), section 7.4 (TMMO). The tweak of a transfer is its number, so
nothing is hashed twice.

A search for what a sender's transfers share, Delta, tries a block under one AES key and hits one of those that go
through AES under this key, two for each transfer.  So every :data:`PER_KEY` transfers of a call have a key of their
own, the image of the first one's number under the session's ``key``: Q trials succeed with at most Q · 2^13 / 2^127,
a Delta of silent transfers having 127 free bits, which is 114 bits of security however many transfers there are.  Both
sides hash in the same calls.

Blocks are (n, 2) uint64; in a tweak both words are the number.  Where the processor has AES instructions they do the
work, elsewhere OpenSSL does, with the same result.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from llvmlite import ir  # type: ignore[import-untyped]

from sotto.link import BadValue
from sotto.mpc.fss.block_vectors import key_schedule
from sotto.mpc.fss.lane_groups import Group
from sotto.mpc.fss.machine_code import MachineCode, aes_blocks, counted_loop

Blocks = npt.NDArray[np.uint64]  # (n, 2)

_REGISTERS = 4  # AES rounds of one fill the wait for those of another
GROUP = 4 * _REGISTERS  # blocks in as many of the widest registers
PER_KEY = 1 << 12  # blocks
_ARGUMENTS = ("lanes", "key_low", "key_high", "tweaks_at", "blocks_at", "out_at")


def warm_up() -> None:
    """Compile what will run; twice does no harm."""
    if aes_blocks():
        _kernel()


def hashed(blocks: Blocks, first: int, key: bytes) -> Blocks:
    """H of each block, (n, 2), under the tweaks ``first``, ``first`` + 1, …; n is a multiple of :data:`GROUP`."""
    if len(blocks) % GROUP:
        raise BadValue("wrong-number", f"blocks are hashed {GROUP} at a time, not {len(blocks)}")
    tweaks = np.arange(first, first + len(blocks), dtype=np.uint64)
    if not aes_blocks():
        return hashed_by_openssl(blocks, tweaks, key)
    out = np.empty_like(blocks, order="C")
    blocks = np.ascontiguousarray(blocks)
    call, tweaks_at, blocks_at, out_at = _kernel().call, tweaks.ctypes.data, blocks.ctypes.data, out.ctypes.data
    for start, (low, high) in zip(range(0, len(blocks), PER_KEY), _keys(tweaks, key).tolist(), strict=True):
        count = min(PER_KEY, len(blocks) - start)
        call(count, low, high, tweaks_at + 8 * start, blocks_at + 16 * start, out_at + 16 * start)
    return out


def _keys(tweaks: npt.NDArray[np.uint64], key: bytes) -> Blocks:
    """The AES keys (n, 2) of every :data:`PER_KEY` blocks."""
    first = tweaks[::PER_KEY]
    return permuted(np.stack([first, first], axis=1), key)


def permuted(x: Blocks, key: bytes) -> Blocks:
    """P of each block (n, 2): AES-128 under ``key``."""
    # P is a permutation used as such, not a mode of encryption.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return np.frombuffer(encryptor.update(x.tobytes()), np.uint64).reshape(-1, 2)


def hashed_by_openssl(blocks: Blocks, tweaks: npt.NDArray[np.uint64], key: bytes) -> Blocks:
    """The same without the processor's AES instructions; the oracle of the tests."""
    parts = []
    for number, own in enumerate(_keys(tweaks, key)):
        part = slice(number * PER_KEY, (number + 1) * PER_KEY)
        inner = permuted(blocks[part], own.tobytes())
        parts.append(permuted(inner ^ tweaks[part, None], own.tobytes()) ^ inner)
    return np.concatenate(parts) if parts else np.empty_like(blocks)


@cache
def _kernel() -> MachineCode:
    return MachineCode(_ARGUMENTS, lambda builder, arguments: _emit(builder, arguments, aes_blocks()))


def _emit(builder: ir.IRBuilder, arguments: dict[str, ir.Value], blocks: int) -> None:
    keys = key_schedule(builder, arguments["key_low"], arguments["key_high"], blocks)

    def turn(first: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        group = Group(builder, arguments, keys, first, _REGISTERS)
        x, tweak = group.blocks("blocks_at"), group.words("tweaks_at")
        inner = group.one_way(x) ^ x ^ tweak  # one_way is P(x) + x
        group.write_blocks("out_at", group.one_way(inner) ^ tweak)
        return []

    counted_loop(builder, arguments["lanes"], _REGISTERS * blocks, [], turn)
