"""The functions of :mod:`sotto.mpc.fss.dcf` in the processor's AES instructions: the same words as
:mod:`sotto.mpc.fss.dcf_reference`.

Inputs are those of :mod:`sotto.mpc.fss.dcf`, already checked and contiguous.  What runs is
:mod:`sotto.mpc.fss.dcf_instructions` on
:mod:`sotto.mpc.fss.lane_groups`, compiled on first use or by :meth:`Kernel.warm_up`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from functools import cached_property, partial
from typing import Literal

import numpy as np
import numpy.typing as npt

from sotto.mpc.fss.dcf_instructions import EvaluateBits, EvaluateTags, GenerateBits, GenerateTags
from sotto.mpc.fss.dcf_reference import Words, bit_planes, tag_planes
from sotto.mpc.fss.lane_groups import ARGUMENTS, Walk, emit_walk, scratch_bytes
from sotto.mpc.fss.machine_code import MachineCode

Output = Literal["bits", "tags"]

_KEY_WORDS = struct.Struct("<2Q")


class Kernel:
    """For registers of 1, 2 or 4 ``blocks``; :func:`sotto.mpc.fss.machine_code.aes_blocks` says which the processor
    has."""

    def __init__(self, blocks: int) -> None:
        self._evaluate_bits = _Function(EvaluateBits(), blocks)
        self._evaluate_tags = _Function(EvaluateTags(), blocks)
        self._generate_bits = _Function(GenerateBits(), blocks)
        self._generate_tags = _Function(GenerateTags(), blocks)

    def warm_up(self, outputs: Iterable[Output], *, dealing: bool) -> None:
        """Compile now what evaluates keys for ``outputs``, or, with ``dealing``, what makes them."""
        for output in outputs:
            if output == "bits":
                _ = (self._generate_bits if dealing else self._evaluate_bits).variants
            else:
                _ = (self._generate_tags if dealing else self._evaluate_tags).variants

    def generate_bits(self, alpha: Words, width: int, roots: Words, key: bytes, gate: int) -> Words:
        corrections = np.empty((bit_planes(width), alpha.size, 2), np.uint64)
        self._generate_bits(bit_planes(width) - 1, key, gate, corrections, width, alpha, roots)
        return corrections

    def evaluate_bits(
        self, party: int, points: Words, width: int, root: Words, corrections: Words, key: bytes, gate: int
    ) -> npt.NDArray[np.uint8]:
        shares = np.empty(points.size, np.uint8)
        self._evaluate_bits(bit_planes(width) - 1, key, gate, corrections, width, points, root, shares, party)
        return shares

    def generate_tags(self, alpha: Words, width: int, roots: Words, key: bytes, gate: int) -> Words:
        corrections = np.empty((tag_planes(width), alpha.size, 2), np.uint64)
        delta = np.bitwise_xor(*roots[:, :1]).ravel()
        self._generate_tags(width, key, gate, corrections, width, alpha, roots[0], delta)
        return corrections

    def evaluate_tags(self, points: Words, width: int, root: Words, corrections: Words, key: bytes, gate: int) -> Words:
        shares = np.empty((points.size, 2), np.uint64)
        self._evaluate_tags(width, key, gate, corrections, width, points, root, shares)
        return shares


class _Function:
    """One of the four for any number of lanes, 0 too."""

    def __init__(self, walk: Walk, blocks: int) -> None:
        self._walk, self._blocks = walk, blocks

    @cached_property
    def variants(self) -> list[tuple[int, MachineCode]]:
        """Code for full groups, for groups of one register and for single lanes, each with how many lanes that is."""
        shapes = dict.fromkeys([(self._blocks, self._walk.registers), (self._blocks, 1), (1, 1)])
        return [(blocks * registers, self._compiled(blocks, registers)) for blocks, registers in shapes]

    def __call__(self, levels: int, key: bytes, gate: int, corrections: Words, *arguments: npt.NDArray | int) -> None:
        """``arguments`` are those the walk names after the corrections; arrays go by their address."""
        lanes = corrections.shape[1]
        for span, code in self.variants:
            if lanes >= span:
                scratch = np.empty(scratch_bytes(self._walk, lanes, span), np.uint8)
                given = (scratch, corrections, *arguments)
                words = [value if isinstance(value, int) else value.ctypes.data for value in given]
                code.call(lanes, levels, *_KEY_WORDS.unpack(key), gate, *words)
                return

    def _compiled(self, blocks: int, registers: int) -> MachineCode:
        emit = partial(emit_walk, walk=self._walk, blocks=blocks, registers=registers)
        return MachineCode(ARGUMENTS + self._walk.arguments, emit)
