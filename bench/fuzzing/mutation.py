"""Valid inputs bent out of shape: bytes, and the structure inside them.

A mutation that only flips bytes rarely gets past the first check.  So msgpack is taken apart and put together again
around one changed node, and so is the JSON header of a safetensors file; byte strings inside are bent in turn.
Everything is drawn from the generator given, so that a run can be repeated and hypothesis can steer it.
"""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

#: Numbers at the edges of the types that decoders read, and of what they may allocate.
INTEGERS = (
    0, 1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -128, -(2**31), -(2**63),
)  # fmt: skip
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
_STRINGS = ("", "a", "class", "logits", "malicious", "float32", "float64", "object", "é", "\n", "\x1b[31m", "a" * 5000)
_MOST_BYTES = 1 << 22  # inputs do not grow beyond what a campaign can try quickly
_HEADER = struct.Struct("<Q")


def mutated(seeds: Sequence[bytes], draw: random.Random, *, most: int | None = None) -> bytes:
    """One of ``seeds``, changed in one to four places; at most ``most`` bytes."""
    data = draw.choice(seeds)
    most = most or max(_MOST_BYTES, 2 * max(map(len, seeds)))
    for _ in range(draw.choice((1, 1, 1, 2, 2, 4))):
        change = draw.choice((_bytes, _structure, _structure))
        data = change(data, draw, seeds)[:most]
    return data


def _structure(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A change inside msgpack or safetensors; of bytes where it is neither."""
    for taken_apart in (_msgpack, _safetensors):
        try:
            return taken_apart(data, draw)
        except (ValueError, msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, struct.error):
            continue
    return _bytes(data, draw, seeds)


def _msgpack(data: bytes, draw: random.Random) -> bytes:
    tree = msgspec.msgpack.decode(data)
    if not isinstance(tree, dict | list):
        raise ValueError("a single value has no structure")
    return msgspec.msgpack.encode(_changed(tree, draw))


def _safetensors(data: bytes, draw: random.Random) -> bytes:
    (size,) = _HEADER.unpack(data[: _HEADER.size])
    if size > len(data) - _HEADER.size:
        raise ValueError("no safetensors header")
    header = json.loads(data[_HEADER.size : _HEADER.size + size])
    if not isinstance(header, dict):
        raise ValueError("no safetensors header")
    record = header.get("__metadata__")
    if isinstance(record, dict) and draw.random() < 0.6:
        # The project's record is JSON inside the header's text.
        changed = {name: _text(_changed(json.loads(str(text)), draw)) for name, text in record.items()}
        record.update(changed)
    else:
        header = _changed(header, draw)
    content = _text(header).encode()
    return _HEADER.pack(len(content)) + content + data[_HEADER.size + size :]


def _text(tree: Any) -> str:
    return json.dumps(tree, default=str)


def _changed(tree: Any, draw: random.Random) -> Any:
    """``tree`` with one node replaced, left out, doubled or moved; JSON and msgpack values alike."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        entries = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in entries:
            places.append((node, key))
            if len(places) < 10_000:
                walk(value)

    walk(tree)
    if not places:
        return _replacement(tree, draw)
    parent, key = draw.choice(places)
    action = draw.random()
    if action < 0.7:
        parent[key] = _replacement(parent[key], draw)
    elif action < 0.8:
        del parent[key]
    elif isinstance(parent, dict):
        parent[draw.choice(_STRINGS)] = parent[key]
    elif action < 0.9:
        parent.insert(draw.randrange(len(parent) + 1), parent[key])
    else:
        other = draw.randrange(len(parent))
        parent[key], parent[other] = parent[other], parent[key]
    return tree


def _replacement(value: Any, draw: random.Random) -> Any:
    """Usually another value of the same kind: one of another kind is refused at once."""
    if draw.random() < 0.1:
        value = draw.choice((None, True, 0, "", b"", [], {}, 1.5))
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes):
        return _bytes(value, draw, [value])
    if isinstance(value, int):
        return draw.choice((value + 1, value - 1, value * 2, -value, draw.choice(INTEGERS)))
    if isinstance(value, float):
        return draw.choice((*_FLOATS, value * 2, -value))
    if isinstance(value, str):
        return draw.choice((*_STRINGS, value[:-1], value + "x", value * 2))
    if isinstance(value, list):
        many = value * 600 if all(isinstance(each, int | float) for each in value) else value
        return draw.choice((value * 2, value[:-1], [], many, [draw.choice(INTEGERS)] * 8, _nested(draw)))
    return draw.choice((value, _nested(draw), draw.choice(INTEGERS), draw.choice(_STRINGS)))


def _nested(draw: random.Random) -> list[Any]:
    tree: list[Any] = []
    for _ in range(draw.choice((3, 30, 300))):
        tree = [tree]
    return tree


def _bytes(data: bytes, draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    if not data:
        return draw.randbytes(draw.choice((0, 1, 8, 100)))
    changes: tuple[Callable[[bytearray, random.Random], bytes | bytearray], ...] = (
        _flip, _flip, _number, _number, _cut_off, _leave_out, _double, _extend, _zero,
    )  # fmt: skip
    if len(seeds) > 1 and draw.random() < 0.1:
        other = draw.choice(seeds)
        place = draw.randrange(len(data))
        return data[:place] + other[place:]
    return bytes(draw.choice(changes)(bytearray(data), draw))


def _flip(data: bytearray, draw: random.Random) -> bytearray:
    for _ in range(draw.choice((1, 1, 8))):
        data[_early(data, draw)] ^= 1 << draw.randrange(8)
    return data


def _number(data: bytearray, draw: random.Random) -> bytearray:
    """An integer of some width in either byte order over what stands there."""
    width = draw.choice((1, 2, 4, 8))
    place = _early(data, draw)
    value = draw.choice(INTEGERS) % (1 << 8 * width)
    data[place : place + width] = value.to_bytes(width, draw.choice(("little", "big")))
    return data


def _early(data: bytearray, draw: random.Random) -> int:
    """A place, more often near the beginning, where lengths and types stand."""
    return draw.randrange(min(len(data), draw.choice((16, 128, len(data)))))


def _cut_off(data: bytearray, draw: random.Random) -> bytearray:
    return data[: draw.randrange(len(data))]


def _leave_out(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    del data[start : start + draw.choice((1, 8, 100))]
    return data


def _double(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    piece = data[start : start + draw.choice((1, 8, 1000))]
    return data[:start] + piece + data[start:]


def _extend(data: bytearray, draw: random.Random) -> bytes:
    return bytes(data) + draw.randbytes(draw.choice((1, 8, 100)))


def _zero(data: bytearray, draw: random.Random) -> bytearray:
    start = draw.randrange(len(data))
    size = min(draw.choice((8, 64)), len(data) - start)
    data[start : start + size] = bytes(size)
    return data
