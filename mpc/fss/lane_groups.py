"""How a tree is walked for many lanes at once: groups of lanes in registers, tiles of groups in the nearest cache.

All lanes take the same number of levels, each with words of its own at every level, and those words lie level after
level in memory: a plane of words for each level.  A group is as many vector registers as keep the AES units busy, since
a round waits for the one before it.  It goes down a few levels in registers, then its state is put aside and the next
group of the tile takes the same levels; so a few planes are read at a time, and those that follow can be sent for.
Taking all the levels at once would read from all planes at once, which is several times slower when they do not fit the
caches.  What is left over at the end is done by a group that overlaps the one before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from llvmlite import ir  # type: ignore[import-untyped]

from sotto.mpc.fss.block_vectors import Blocks, intrinsic, key_schedule, shuffle
from sotto.mpc.fss.dcf_reference import LANES_PER_KEY
from sotto.mpc.fss.machine_code import WORD, counted_loop

TILE_LANES = LANES_PER_KEY  # their state takes up to 20 KiB
LEVELS_IN_REGISTERS = 4
_BLOCK_BYTES = 16

# The words every walk is called with; *_at are addresses.  ``scratch_at`` has scratch_bytes() for states put aside.
ARGUMENTS = ("lanes", "levels", "key_low", "key_high", "gate", "scratch_at")


class Walk(Protocol):
    """What is done to a group of lanes on its way; the parts of the state are blocks, ``parts`` of them for a lane."""

    arguments: tuple[str, ...]  # beyond ARGUMENTS
    registers: int  # of which a full group is made
    parts: int

    def begin(self, group: Group) -> tuple[Blocks, ...]: ...

    def level(self, group: Group, number: ir.Value, *state: Blocks) -> tuple[Blocks, ...]: ...

    def finish(self, group: Group, *state: Blocks) -> None: ...


class Group:
    """Lanes ``first`` to ``first + registers * blocks - 1``, in registers of ``blocks`` blocks."""

    def __init__(
        self,
        builder: ir.IRBuilder,
        arguments: dict[str, ir.Value],
        keys: list[ir.Value],
        first: ir.Value,
        registers: int,
    ) -> None:
        self.builder, self.arguments, self._keys = builder, arguments, keys
        self._first, self._registers = first, registers
        self._type = keys[0].type
        self._blocks = self._type.count // 2
        zero = ir.Constant(self._type, [ir.Constant(WORD, 0)] * 2 * self._blocks)
        self.zero = Blocks(builder, [zero] * registers)
        self.one = self.zero.constant(1, 0)

    def words(self, name: str) -> Blocks:
        """A word for each lane, in both halves of its block."""
        kind, twice = ir.VectorType(WORD, self._blocks), [word // 2 for word in range(2 * self._blocks)]
        loaded = [self._load(address, kind) for address in self._addresses(name, 8)]
        return Blocks(self.builder, [shuffle(self.builder, words, twice) for words in loaded])

    def blocks(self, name: str, plane: ir.Value | int = 0) -> Blocks:
        """A block for each lane, from one of the planes (lanes, 2) at ``name``."""
        return self._load_all(self._addresses(name, _BLOCK_BYTES, plane))

    def prefetch(self, name: str, plane: ir.Value) -> None:
        """Have a plane's blocks of these lanes fetched into the nearer caches, for later; it may lie past the end."""
        pointer, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        fetch = intrinsic(self.builder, "llvm.prefetch.p0", ir.VoidType(), [pointer, number, number, number])
        for address in self._addresses(name, _BLOCK_BYTES, plane):
            read_into_l2 = [ir.Constant(number, option) for option in (0, 2, 1)]
            self.builder.call(fetch, [self.builder.inttoptr(address, pointer), *read_into_l2])

    def one_block(self, name: str) -> Blocks:
        """The same block for every lane."""
        block = self._load(self.arguments[name], ir.VectorType(WORD, 2))
        return Blocks(self.builder, [shuffle(self.builder, block, [0, 1] * self._blocks)] * self._registers)

    def write_blocks(self, name: str, values: Blocks, plane: ir.Value | int = 0) -> None:
        self._store_all(self._addresses(name, _BLOCK_BYTES, plane), values.values)

    def write_bytes(self, name: str, values: Blocks) -> None:
        """One byte a lane: the lowest of its two words' sum."""
        kind = ir.VectorType(ir.IntType(8), self._blocks)
        lowest = [self.builder.trunc(words, kind) for words in values.halves_summed()]
        self._store_all(self._addresses(name, 1), lowest)

    def one_way(self, blocks: Blocks) -> Blocks:
        return blocks.one_way(self._keys)

    def put_aside(self, slot: ir.Value, state: tuple[Blocks, ...]) -> None:
        for part, values in enumerate(state):
            self._store_all(self._slots(slot, part, len(state)), values.values)

    def take_up(self, slot: ir.Value, parts: int) -> tuple[Blocks, ...]:
        return tuple(self._load_all(self._slots(slot, part, parts)) for part in range(parts))

    def _slots(self, slot: ir.Value, part: int, parts: int) -> list[ir.Value]:
        """Where a part of the state of the group that starts at lane ``slot`` of its tile is kept."""
        offset = self.builder.mul(slot, ir.Constant(WORD, parts * _BLOCK_BYTES))
        start = self.builder.add(self.arguments["scratch_at"], offset)
        return self._in_turn(start, self._blocks * _BLOCK_BYTES, part * self._registers)

    def _addresses(self, name: str, item_bytes: int, plane: ir.Value | int = 0) -> list[ir.Value]:
        """Where each register finds its lanes in a plane of an argument that has ``item_bytes`` for each lane."""
        plane = ir.Constant(WORD, plane) if isinstance(plane, int) else plane
        lane = self.builder.add(self._first, self.builder.mul(plane, self.arguments["lanes"]))
        start = self.builder.add(self.arguments[name], self.builder.mul(lane, ir.Constant(WORD, item_bytes)))
        return self._in_turn(start, self._blocks * item_bytes, 0)

    def _in_turn(self, start: ir.Value, step: int, skipped: int) -> list[ir.Value]:
        offsets = [step * (skipped + register) for register in range(self._registers)]
        return [self.builder.add(start, ir.Constant(WORD, offset)) for offset in offsets]

    def _load_all(self, addresses: list[ir.Value]) -> Blocks:
        return Blocks(self.builder, [self._load(address, self._type) for address in addresses])

    def _load(self, address: ir.Value, kind: ir.Type) -> ir.Value:
        return self.builder.load(self.builder.inttoptr(address, kind.as_pointer()), align=1)

    def _store_all(self, addresses: list[ir.Value], values: list[ir.Value]) -> None:
        for address, value in zip(addresses, values, strict=True):
            self.builder.store(value, self.builder.inttoptr(address, value.type.as_pointer()), align=1)


def scratch_bytes(walk: Walk, lanes: int, span: int) -> int:
    """What ``scratch`` must hold for that many lanes in groups of ``span``."""
    whole_groups = -(-lanes // span) * span
    return min(whole_groups, TILE_LANES) * walk.parts * _BLOCK_BYTES


def emit_walk(builder: ir.IRBuilder, arguments: dict[str, ir.Value], walk: Walk, blocks: int, registers: int) -> None:
    """``walk`` for any number of lanes from ``registers * blocks``, that many at a time."""
    bundle_keys = key_schedule(builder, arguments["key_low"], arguments["key_high"], blocks)
    lanes, levels, span = arguments["lanes"], arguments["levels"], registers * blocks
    last = builder.sub(lanes, ir.Constant(WORD, span))

    def tile(begin: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
        size = _smaller(builder, builder.sub(lanes, begin), TILE_LANES)
        keys = _tile_keys(builder, arguments, bundle_keys, begin)

        def for_each_group(act: Callable[[Group, ir.Value], None]) -> None:
            def turn(slot: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
                first = builder.add(begin, slot)
                first = builder.select(builder.icmp_unsigned("<", first, last), first, last)
                act(Group(builder, arguments, keys, first, registers), slot)
                return []

            counted_loop(builder, size, span, [], turn)

        def some_levels(top: ir.Value, _: list[ir.Value]) -> list[ir.Value]:
            count = _smaller(builder, builder.sub(levels, top), LEVELS_IN_REGISTERS)
            for_each_group(lambda group, slot: _go_down(walk, group, slot, top, count))
            return []

        for_each_group(lambda group, slot: group.put_aside(slot, walk.begin(group)))
        counted_loop(builder, levels, LEVELS_IN_REGISTERS, [], some_levels)
        for_each_group(lambda group, slot: walk.finish(group, *group.take_up(slot, walk.parts)))
        return []

    counted_loop(builder, lanes, TILE_LANES, [], tile)


def _tile_keys(
    builder: ir.IRBuilder, arguments: dict[str, ir.Value], bundle_keys: list[ir.Value], begin: ir.Value
) -> list[ir.Value]:
    """The round keys of the tile that starts at lane ``begin``.

    A last tile that is not whole has those of the one before it, into which its last group may reach.
    """
    per_key = ir.Constant(WORD, LANES_PER_KEY)
    whole = builder.udiv(arguments["lanes"], per_key)
    none = builder.icmp_unsigned("==", whole, ir.Constant(WORD, 0))
    last = builder.select(none, whole, builder.sub(whole, ir.Constant(WORD, 1)))
    number = builder.udiv(begin, per_key)
    number = builder.select(builder.icmp_unsigned("<", number, last), number, last)
    kind = bundle_keys[0].type
    block = ir.Constant(kind, ir.Undefined)
    for place in range(kind.count):
        word = arguments["gate"] if place % 2 else number
        block = builder.insert_element(block, word, ir.Constant(ir.IntType(32), place))
    key = Blocks(builder, [block]).one_way(bundle_keys).values[0]
    low, high = (builder.extract_element(key, ir.Constant(ir.IntType(32), place)) for place in (0, 1))
    return key_schedule(builder, low, high, kind.count // 2)


def _go_down(walk: Walk, group: Group, slot: ir.Value, top: ir.Value, count: ir.Value) -> None:
    """Levels ``top`` to ``top + count - 1`` of one group, whose state is taken up and put aside again."""
    parts, builder = walk.parts, group.builder

    def grouped(values: list[ir.Value]) -> tuple[Blocks, ...]:
        return tuple(Blocks(builder, values[part::parts]) for part in range(parts))

    def flat(state: tuple[Blocks, ...]) -> list[ir.Value]:
        return [value for values in zip(*(part.values for part in state), strict=True) for value in values]

    def level(number: ir.Value, values: list[ir.Value]) -> list[ir.Value]:
        return flat(walk.level(group, builder.add(top, number), *grouped(values)))

    group.put_aside(slot, grouped(counted_loop(builder, count, 1, flat(group.take_up(slot, parts)), level)))


def _smaller(builder: ir.IRBuilder, value: ir.Value, bound: int) -> ir.Value:
    limit = ir.Constant(WORD, bound)
    return builder.select(builder.icmp_unsigned("<", value, limit), value, limit)
