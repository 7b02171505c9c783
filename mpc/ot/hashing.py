"""The hash that turns correlated transfers into random ones: tweakable, from AES under one public key.

    H(x, i) = P(P(x) + i) + P(x)        P = AES-128 under ``key``, + is XOR

Correlation robust for any tweaks in the ideal cipher model: Guo, Katz, Wang and Yu, "Efficient and secure multiparty
computation from fixed-key block ciphers" (IEEE S&P 2020), section 7.4 (TMMO). The tweak of a transfer is its number, so
nothing is hashed twice. All transfers of a session are targets of one search for what they share: 128 bits less log2 of
their number. Blocks are (n, 2) uint64; in a tweak both words are the number. Where the processor has AES instructions
they do the work, elsewhere OpenSSL does, with the same result.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from llvmlite import ir  # type: ignore[import-untyped]

from sotto.mpc.fss.block_vectors import key_schedule
from sotto.mpc.fss.lane_groups import Group
from sotto.mpc.fss.machine_code import MachineCode, aes_blocks, counted_loop

Blocks = npt.NDArray[np.uint64]  # (n, 2)

_REGISTERS = 4  # AES rounds of one fill the wait for those of another
GROUP = 4 * _REGISTERS  # blocks in as many of the widest registers
_ARGUMENTS = ("lanes", "key_low", "key_high", "tweaks_at", "blocks_at", "out_at")


def warm_up() -> None:
    """Compile what will run; twice does no harm."""
    if aes_blocks():
        _kernel()


def hashed(blocks: Blocks, first: int, key: bytes) -> Blocks:
    """H of each block, (n, 2), under the tweaks ``first``, ``first`` + 1, …; n is a multiple of :data:`GROUP`."""
    if len(blocks) % GROUP:
        raise ValueError(f"blocks are hashed {GROUP} at a time, not {len(blocks)}")
    tweaks = np.arange(first, first + len(blocks), dtype=np.uint64)
    if not aes_blocks():
        return hashed_by_openssl(blocks, tweaks, key)
    out = np.empty_like(blocks, order="C")
    blocks = np.ascontiguousarray(blocks)
    low, high = (int(word) for word in np.frombuffer(key, np.uint64))
    _kernel().call(len(blocks), low, high, tweaks.ctypes.data, blocks.ctypes.data, out.ctypes.data)
    return out


def hashed_by_openssl(blocks: Blocks, tweaks: npt.NDArray[np.uint64], key: bytes) -> Blocks:
    """The same without the processor's AES instructions; the oracle of the tests."""

    def permuted(x: Blocks) -> Blocks:
        # P is a permutation used as such, not a mode of encryption.
        encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
        return np.frombuffer(encryptor.update(x.tobytes()), np.uint64).reshape(-1, 2)

    inner = permuted(blocks)
    return permuted(inner ^ tweaks[:, None]) ^ inner


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
