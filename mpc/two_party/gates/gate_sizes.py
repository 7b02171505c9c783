"""What one element of a step takes of the correlated randomness, and modulo how many bits.

Everything is counted in random transfers (:mod:`sotto.mpc.ot`): those in which Alice chooses, those in which Bob does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sotto.mpc.graph.program import Compare, Truncate

LEAF_BITS = 4


@dataclass(frozen=True)
class Size:
    """``modulus``: the output is shared modulo 2^modulus.  Whatever a step does not need is nothing."""

    modulus: int

    @property
    def leaves(self) -> tuple[int, ...]:
        """Bits of each leaf of a comparison, the lowest first."""
        return ()

    @property
    def levels(self) -> tuple[int, ...]:
        """Pairs of nodes that are joined in each level of a tree, with two bit triples each."""
        return ()

    @property
    def extension(self) -> int:
        """Bits by which a result is widened."""
        return 0

    @property
    def selects(self) -> bool:
        """Whether a word is multiplied by a bit."""
        return False

    @property
    def alice_chooses(self) -> int:
        """Transfers for each element in which Alice chooses: leaves, wrap, triples, selection."""
        return sum(self.leaves) + (self.extension > 0) + self.bob_chooses

    @property
    def bob_chooses(self) -> int:
        """Transfers for each element in which Bob chooses: triples, selection."""
        return sum(self.levels) + self.selects


@dataclass(frozen=True)
class Gate(Size):
    """Sizes of one comparison or truncation, whose source is shared modulo 2^modulus, too.

    Attributes
    ----------
    cut
        bits that go.
    width
        bits of what is left, as a signed number.
    compares
        whether its sign is found.
    bit
        whether the sign is the output, shared by XOR, in place of the positive part.
    """

    cut: int
    width: int
    compares: bool
    bit: bool = False

    @classmethod
    def of(cls, step: Compare | Truncate, source_bits: int, modulus: int) -> Gate:
        if isinstance(step, Compare):
            return cls(modulus, step.cut, max(2, step.width - step.cut), True)
        return cls(modulus, step.cut, source_bits + 3 - step.cut, False)

    @property
    def needs(self) -> int:
        """The least modulus of the source, in bits."""
        return self.width + self.cut

    @property
    def extension(self) -> int:
        return 0 if self.bit else self.modulus - self.width

    @property
    def leaves(self) -> tuple[int, ...]:
        """Of the comparison of width - 1 bits."""
        if not self.compares:
            return ()
        whole, rest = divmod(self.width - 1, LEAF_BITS)
        return (LEAF_BITS,) * whole + ((rest,) if rest else ())

    @property
    def levels(self) -> tuple[int, ...]:
        return joins(len(self.leaves))

    @property
    def selects(self) -> bool:
        return self.compares and not self.bit


@dataclass(frozen=True)
class Conjunction(Size):
    """Whether all of ``rows`` bits, shared by XOR, are set; ``modulus`` is 1."""

    rows: int

    @property
    def levels(self) -> tuple[int, ...]:
        return joins(self.rows)


@dataclass(frozen=True)
class Choice(Size):
    """A shared word times a bit that is shared by XOR."""

    @property
    def selects(self) -> bool:
        return True


@dataclass(frozen=True)
class Multiplication(Size):
    """A product of two shared words, or the square of one: a transfer for each bit of a factor."""

    square: bool

    @property
    def alice_chooses(self) -> int:
        return self.modulus

    @property
    def bob_chooses(self) -> int:
        return 0 if self.square else self.modulus


def joins(nodes: int) -> tuple[int, ...]:
    """Pairs that are joined in each level of a tree of ``nodes`` leaves."""
    counts = []
    while nodes > 1:
        counts.append(nodes // 2)
        nodes -= nodes // 2
    return tuple(counts)
