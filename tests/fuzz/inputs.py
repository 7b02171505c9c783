"""Malformed inputs as Hypothesis strategies: messages drawn from their schemas, and valid inputs, bent out of shape.

A change that only flips bytes rarely gets past the first check.  So msgpack is taken apart and put together again
around one changed node, and so is the JSON header of a safetensors file; byte strings inside are bent in turn.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from hypothesis import strategies as st

from tests.fuzz.decoders.decoder import Target

Draw = Callable[[st.SearchStrategy[Any]], Any]

#: Numbers at the edges of the types that decoders read, and of what they may allocate.
INTEGERS = (
    0, 1, 2, 3, 7, 8, 63, 64, 127, 128, 255, 256, 4095, 4096, 65535, 65536, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32,
    2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, -1, -2, -128, -(2**31), -(2**63),
)  # fmt: skip
_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-300, 1e300, float("inf"), float("-inf"), float("nan"))
_TEXTS = ("", "a", "class", "logits", "malicious", "float32", "float64", "object", "é", "\n", "\x1b[31m", "a" * 5000)
_NESTED = tuple(json.loads("[" * depth + "]" * depth) for depth in (3, 30, 300))
_OTHERS: tuple[Any, ...] = (None, True, 0, "", b"", [], {}, 1.5)
_MOST_BYTES = 1 << 22  # inputs do not grow beyond what can be tried quickly
_HEADER = struct.Struct("<Q")

_edge = st.sampled_from(INTEGERS)
_text = st.sampled_from(_TEXTS)
_ordinary = st.one_of(st.none(), st.booleans(), _edge, st.sampled_from(_FLOATS), _text, st.text(), st.binary())
_anything = st.one_of(_ordinary, st.sampled_from(_NESTED), st.lists(_ordinary), st.dictionaries(st.text(), _ordinary))
_chance = st.integers(0, 9)


def inputs(target: Target) -> st.SearchStrategy[bytes]:
    """A valid input of ``target`` changed in one to four places; often one whose fields are drawn from its schema."""
    valid = st.sampled_from(target.seeds)
    messages = [_drawn(kind, _read(target.seeds, kind)) for kind in target.messages]
    most = max(_MOST_BYTES, 2 * max(map(len, target.seeds)))
    bent = _bent(valid, st.sampled_from((1, 1, 1, 2, 2, 4)), target.seeds, most)
    if not messages:
        return bent
    return bent | bent | _bent(st.one_of(messages), st.sampled_from((0, 0, 1)), target.seeds, most)


def _read(seeds: Sequence[bytes], kind: type[Any]) -> list[Any]:
    """The messages of ``kind`` among the valid inputs."""
    found = []
    for seed in seeds:
        with contextlib.suppress(msgspec.MsgspecError, UnicodeError):
            found.append(msgspec.msgpack.decode(seed, type=kind))
    return found


@st.composite
def _drawn(draw: Draw, kind: type[Any], valid: Sequence[Any]) -> bytes:
    """A message of ``kind``: a valid one with a field or two of the right type, or, where there is none, any."""
    if not valid:
        return _encoded(draw(st.from_type(kind)))
    message, fields = draw(st.sampled_from(valid)), msgspec.structs.fields(kind)
    for _ in range(draw(st.integers(1, 2))):
        field = draw(st.sampled_from(fields))
        message = msgspec.structs.replace(message, **{field.name: draw(st.from_type(field.type))})
    return _encoded(message)


def _encoded(message: Any) -> bytes:
    """As it travels; where Hypothesis drew numbers that no message holds, nothing."""
    try:
        # What is made anew for each message ({}, say) Hypothesis takes for a default value.
        return msgspec.msgpack.encode(message, enc_hook=lambda default: default.factory())
    except OverflowError:
        return b""


@st.composite
def _bent(
    draw: Draw, whole: st.SearchStrategy[bytes], changes: st.SearchStrategy[int], seeds: Sequence[bytes], most: int
) -> bytes:
    data = draw(whole)
    for _ in range(draw(changes)):
        data = (draw(_ways)(draw, data, seeds))[:most]
    return data


def _structure(draw: Draw, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A change inside msgpack or safetensors; of bytes where it is neither."""
    for taken_apart in (_msgpack, _safetensors):
        try:
            return taken_apart(draw, data)
        except (ValueError, msgspec.MsgspecError, UnicodeError, RecursionError, OverflowError, struct.error):
            continue
    return _bytes(draw, data, seeds)


def _msgpack(draw: Draw, data: bytes) -> bytes:
    tree = msgspec.msgpack.decode(data)
    if not isinstance(tree, dict | list):
        raise ValueError("a single value has no structure")
    return msgspec.msgpack.encode(_changed(draw, tree))


def _safetensors(draw: Draw, data: bytes) -> bytes:
    (size,) = _HEADER.unpack(data[: _HEADER.size])
    if size > len(data) - _HEADER.size:
        raise ValueError("no safetensors header")
    header = json.loads(data[_HEADER.size : _HEADER.size + size])
    if not isinstance(header, dict):
        raise ValueError("no safetensors header")
    record = header.get("__metadata__")
    if isinstance(record, dict) and draw(_chance) < 6:
        # The project's record is JSON inside the header's text.
        record.update({name: _json(_changed(draw, json.loads(str(text)))) for name, text in record.items()})
    else:
        header = _changed(draw, header)
    content = _json(header).encode()
    return _HEADER.pack(len(content)) + content + data[_HEADER.size + size :]


def _json(tree: Any) -> str:
    return json.dumps(tree, default=str)


def _changed(draw: Draw, tree: Any) -> Any:
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
        return _replacement(draw, tree)
    parent, key = places[draw(st.integers(0, len(places) - 1))]
    action = draw(_chance)
    if action < 7:
        parent[key] = _replacement(draw, parent[key])
    elif action == 7:
        del parent[key]
    elif isinstance(parent, dict):
        parent[draw(_text)] = parent[key]
    elif action == 8:
        parent.insert(draw(st.integers(0, len(parent))), parent[key])
    else:
        other = draw(st.integers(0, len(parent) - 1))
        parent[key], parent[other] = parent[other], parent[key]
    return tree


def _replacement(draw: Draw, value: Any) -> Any:
    """Usually another value of the same kind: one of another kind is refused at once."""
    if not draw(_chance):
        value = draw(st.sampled_from(_OTHERS))
    if isinstance(value, bool):
        return not value
    if isinstance(value, bytes):
        return _bytes(draw, value, [value])
    near: list[Any]
    if isinstance(value, int):
        near = [value + 1, value - 1, value * 2, -value, draw(_edge)]
    elif isinstance(value, float):
        near = [*_FLOATS, value * 2, -value]
    elif isinstance(value, str):
        near = [*_TEXTS, value[:-1], value + "x", value * 2]
    elif isinstance(value, list):
        many = value * 600 if all(isinstance(each, int | float) for each in value) else value
        near = [value * 2, value[:-1], [], many, [draw(_edge)] * 8, draw(st.sampled_from(_NESTED))]
    else:
        return draw(_anything)
    return near[draw(st.integers(0, len(near) - 1))]


def _bytes(draw: Draw, data: bytes, seeds: Sequence[bytes]) -> bytes:
    """A piece of ``data`` replaced; more often near the beginning, where lengths and types stand."""
    if not data:
        return draw(st.binary(max_size=100))
    start = draw(st.integers(0, min(len(data), draw(st.sampled_from((16, 128, len(data))))) - 1))
    width = draw(st.sampled_from((1, 1, 2, 4, 8, 64, 1000)))
    piece = data[start : start + width]
    changed = draw(_pieces)(draw, piece)
    if changed is None:  # the rest is cut off, or another input's goes on
        return data[:start] + (seeds[draw(st.integers(0, len(seeds) - 1))][start:] if draw(st.booleans()) else b"")
    return data[:start] + changed + data[start + len(piece) :]


def _flipped(draw: Draw, piece: bytes) -> bytes:
    return bytes([piece[0] ^ 1 << draw(st.integers(0, 7))]) + piece[1:]


def _number(draw: Draw, piece: bytes) -> bytes:
    """An integer in either byte order over what stands there."""
    width = min(8, len(piece))
    value = draw(_edge) % (1 << 8 * width)
    return value.to_bytes(width, draw(st.sampled_from(("little", "big")))) + piece[width:]


_pieces = st.sampled_from(
    [
        _flipped, _number, _number,
        lambda draw, piece: None,
        lambda draw, piece: b"",
        lambda draw, piece: piece * 2,
        lambda draw, piece: bytes(len(piece)),
        lambda draw, piece: piece + draw(st.binary(max_size=100)),
    ]
)  # fmt: skip
_ways = st.sampled_from([_bytes, _structure, _structure])
