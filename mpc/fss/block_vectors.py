"""Instructions over AES blocks side by side: what :mod:`sotto.mpc.fss.dcf_instructions` is written in.

A vector register holds 1, 2 or 4 blocks of 128 bits (SSE, AVX2, AVX-512), and one instruction runs a round of AES on
all of them.  :class:`Blocks` stands for several such registers, so that rounds of one fill the wait for those of
another.  AES-128 is FIPS 197, through the AES-NI and VAES instructions; they take the same time whatever the data.
"""

from __future__ import annotations

from collections.abc import Callable

from llvmlite import ir  # type: ignore[import-untyped]

from sotto.mpc.fss.machine_code import WORD

_FULL = 2**64 - 1
_ROUNDS = 10
_ROUND_CONSTANTS = (0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0x1B, 0x36)  # FIPS 197, section 5.2
_PAIR = ir.VectorType(WORD, 2)
_FOUR = ir.VectorType(ir.IntType(32), 4)


class Blocks:
    """Blocks in registers; operators emit instructions.  A block is two 64-bit words, (low, high).

    ``values`` are vectors of the same number of blocks.  Shifts move each word by the amount in the same place of the
    other operand, which is below 64.
    """

    def __init__(self, builder: ir.IRBuilder, values: list[ir.Value]) -> None:
        self._builder = builder
        self.values = values
        self._type = values[0].type
        self._width = self._type.count // 2

    def __and__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.and_, other)

    def __or__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.or_, other)

    def __xor__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.xor, other)

    def __sub__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.sub, other)

    def __lshift__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.shl, other)

    def __rshift__(self, other: Blocks) -> Blocks:
        return self._each(self._builder.lshr, other)

    def constant(self, low: int, high: int) -> Blocks:
        """The same block everywhere, as many as here."""
        vector = ir.Constant(self._type, [ir.Constant(WORD, word & _FULL) for word in (low, high) * self._width])
        return Blocks(self._builder, [vector] * len(self.values))

    def splat(self, word: ir.Value) -> Blocks:
        """A 64-bit value in both words of every block, as many as here."""
        vector = self._builder.insert_element(ir.Constant(self._type, ir.Undefined), word, _number(0))
        return Blocks(self._builder, [shuffle(self._builder, vector, [0] * self._type.count)] * len(self.values))

    def where_odd(self, other: Blocks) -> Blocks:
        """``other`` where bit 0 of the block here is set, zero elsewhere."""
        odd = (self._low_twice() & self.constant(1, 1))._each(self._not_equal, self.constant(0, 0))
        return odd._each(lambda bit, value: self._builder.select(bit, value, self.constant(0, 0).values[0]), other)

    def where_equal(self, left: Blocks, right: Blocks) -> Blocks:
        """The words here where ``left`` and ``right`` have the same, zero elsewhere."""
        other = (left ^ right)._each(self._not_equal, self.constant(0, 0))
        return other._each(lambda bit, value: self._builder.select(bit, self.constant(0, 0).values[0], value), self)

    def mixed(self) -> Blocks:
        """(low, high) -> (high, high xor low)."""
        return self._shuffled([word ^ 1 for word in range(self._type.count)]) ^ self & self.constant(0, -1)

    def halves_summed(self) -> list[ir.Value]:
        """Low word xor high word of each block, one vector of words for each vector."""
        low, high = (self._shuffled(list(range(half, self._type.count, 2))) for half in (0, 1))
        return (low ^ high).values

    def swapped(self) -> Blocks:
        """The two words of each block in the other order."""
        return self._shuffled([word ^ 1 for word in range(self._type.count)])

    def high(self) -> Blocks:
        """The high word of each block, its low word zero."""
        return self & self.constant(0, _FULL)

    def one_way(self, keys: list[ir.Value]) -> Blocks:
        """x -> AES(x) xor x."""
        middle, last = self._aes_instruction("aesenc"), self._aes_instruction("aesenclast")
        first, *between, final = (Blocks(self._builder, [key] * len(self.values)) for key in keys)
        state = self ^ first
        for key in between:
            state = state._each(middle, key)
        return state._each(last, self ^ final)  # the last round ends in an xor with its key

    def _aes_instruction(self, name: str) -> Callable[[ir.Value, ir.Value], ir.Value]:
        suffix = "" if self._width == 1 else f".{128 * self._width}"
        function = intrinsic(self._builder, f"llvm.x86.aesni.{name}{suffix}", self._type, [self._type, self._type])
        return lambda state, key: self._builder.call(function, [state, key])

    def _not_equal(self, left: ir.Value, right: ir.Value) -> ir.Value:
        return self._builder.icmp_unsigned("!=", left, right)

    def _low_twice(self) -> Blocks:
        return self._shuffled([word & ~1 for word in range(self._type.count)])

    def _shuffled(self, words: list[int]) -> Blocks:
        return Blocks(self._builder, [shuffle(self._builder, value, words) for value in self.values])

    def _each(self, instruction: Callable[[ir.Value, ir.Value], ir.Value], other: Blocks) -> Blocks:
        pairs = zip(self.values, other.values, strict=True)
        return Blocks(self._builder, [instruction(left, right) for left, right in pairs])


def key_schedule(builder: ir.IRBuilder, low: ir.Value, high: ir.Value, width: int) -> list[ir.Value]:
    """The eleven round keys (FIPS 197, section 5.2) of the key (low, high), each ``width`` times side by side."""
    assist = intrinsic(builder, "llvm.x86.aesni.aeskeygenassist", _PAIR, [_PAIR, ir.IntType(8)])
    zero = ir.Constant(_FOUR, [_number(0)] * 4)
    key = ir.Constant(_PAIR, ir.Undefined)
    for position, word in enumerate((low, high)):
        key = builder.insert_element(key, word, _number(position))
    keys = [key]
    for constant in _ROUND_CONSTANTS:
        # The top word that the instruction gives is SubWord(RotWord(w[3])) xor the round constant.
        assisted = builder.bitcast(builder.call(assist, [key, ir.Constant(ir.IntType(8), constant)]), _FOUR)
        words = sums = builder.bitcast(key, _FOUR)
        for _ in range(3):  # word i becomes the sum of the words 0 … i
            sums = builder.xor(words, builder.shuffle_vector(zero, sums, _numbers([0, 4, 5, 6])))
        key = builder.bitcast(builder.xor(sums, shuffle(builder, assisted, [3, 3, 3, 3])), _PAIR)
        keys.append(key)
    return [shuffle(builder, key, [0, 1] * width) for key in keys]


def shuffle(builder: ir.IRBuilder, vector: ir.Value, positions: list[int]) -> ir.Value:
    """The elements of ``vector`` at ``positions``."""
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), _numbers(positions))


def intrinsic(builder: ir.IRBuilder, name: str, result: ir.Type, arguments: list[ir.Type]) -> ir.Function:
    """The declaration of an LLVM intrinsic, made once a module."""
    known = builder.module.globals.get(name)
    return known or ir.Function(builder.module, ir.FunctionType(result, arguments), name)


def _number(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(32), value)


def _numbers(values: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(ir.IntType(32), len(values)), [_number(value) for value in values])
