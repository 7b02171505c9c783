"""Attention and recurrent layers, by the names of PyTorch's operators (see :mod:`sotto.mpc.lowering.operators`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

from sotto.mpc.lowering.linear_builder import Wire
from sotto.mpc.lowering.operators import (
    HANDLERS,
    Call,
    Handler,
    handles,
    known,
    moved,
    only,
    wire,
)


@handles("scaled_dot_product_attention")
def _attention(
    call: Call, query: Any, key: Any, value: Any, mask: Any = None, dropout: float = 0.0, is_causal: bool = False, *,
    scale: float | None = None, enable_gqa: bool = False,
) -> Wire:  # fmt: skip
    only(not enable_gqa, "grouped queries: repeat the keys")
    build = call.build
    query, key, value = (each if isinstance(each, Wire) else build.constant(each) for each in (query, key, value))
    size = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = build.times(build.matmul(query, build.transpose(key, -2, -1)), size)
    if is_causal:
        mask = torch.ones(query.shape[-2], key.shape[-2], dtype=torch.bool).tril()
    if mask is not None:
        only(isinstance(mask, torch.Tensor), "a mask that depends on the input: only public masks are supported")
        added = torch.zeros(mask.shape).masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else mask
        scores = build.add(scores, added.double())
    weights = build.softmax(scores, len(scores.shape) - 1)
    return build.matmul(weights, value, _average_limit(call, value))


def _average_limit(call: Call, value: Wire) -> float:
    """What a weighted mean of ``value`` cannot exceed, the weights adding up to one but for the curves' errors and what
    is cut of each."""
    rounded = value.shape[-2] * 2.0**-12
    return max(map(abs, call.build.reach(value))) * (1 + 8 * call.build.tolerance + rounded) + 2.0**-8


def _recurrent(gates: int, cell: Callable[..., tuple[Wire, Wire | None]]) -> Handler:
    def handler(
        call: Call, x: Any, initial: Any, parameters: Sequence[Any], has_biases: bool, layers_: int, dropout: float,
        train: bool, bidirectional: bool, batch_first: bool = False, *_: Any,
    ) -> list[Wire]:  # fmt: skip
        only(not isinstance(x, list) and isinstance(train, bool), "packed sequences: give padded ones")
        build, directions = call.build, 2 if bidirectional else 1
        starts = list(initial) if isinstance(initial, (list, tuple)) else [initial]
        time = 0 if len(wire(x).shape) == 2 else (1 if batch_first else 0)
        sequence = build.reshape(x, (x.shape[time], x.shape[-1]))
        only(math.prod(x.shape) == math.prod(sequence.shape), "several sequences at once")
        per = 4 if has_biases else 2
        only(len(parameters) == per * layers_ * directions, "recurrent layers with projections")
        finals: list[list[Wire]] = [[] for _ in starts]
        for layer in range(layers_):
            sides = []
            for direction in range(directions):
                at = layer * directions + direction
                own = [_ordered(known(each).double(), gates) for each in parameters[per * at : per * (at + 1)]]
                state = [_start(call, each, at) for each in starts]
                outputs, last = _run(call, cell, gates, sequence, own, state, reverse=bool(direction))
                sides.append(outputs)
                for found, value in zip(finals, last, strict=True):
                    found.append(value)
            sequence = sides[0] if directions == 1 else build.concat(sides, 1)
        states = [build.concat([build.reshape(each, (1, each.shape[-1])) for each in found], 0) for found in finals]
        shapes = call.outputs[1:]
        return [build.reshape(sequence, call.shape)] + [
            build.reshape(each, shape) for each, shape in zip(states, shapes, strict=True)
        ]

    return handler


def _ordered(tensor: torch.Tensor, gates: int) -> torch.Tensor:
    """An LSTM's rows, which PyTorch has in the order i, f, g, o, with g last."""
    if gates != 4:
        return tensor
    i, f, g, o = tensor.chunk(4)
    return torch.cat([i, f, o, g])


def _start(call: Call, initial: Any, at: int) -> Wire | None:
    """The state before the first step, None for zeros."""
    if isinstance(initial, Wire):
        each = moved(call, lambda numbers: numbers[at], initial)
        return call.build.reshape(each, (1, each.shape[-1]))
    state = initial[at].reshape(1, -1)
    return call.build.constant(state) if bool(state.any()) else None


def _run(
    call: Call, cell: Callable[..., tuple[Wire, Wire | None]], gates: int, sequence: Wire, own: list[torch.Tensor],
    state: list[Wire | None], *, reverse: bool,
) -> tuple[Wire, list[Wire]]:  # fmt: skip
    """One direction of one layer: outputs (T, H), and the last states."""
    build, size = call.build, own[1].shape[1]
    count = sequence.shape[0]
    biases = own[2:] or [torch.zeros(gates * size, dtype=torch.float64)] * 2
    outputs: list[Wire] = [sequence] * count
    inputs = build.linear(sequence, own[0], biases[0])
    for step in reversed(range(count)) if reverse else range(count):
        given = moved(call, lambda numbers, at=step: numbers[at : at + 1], inputs)
        hidden, *rest = cell(call, given, state, own[1], biases[1], size)
        state = [hidden, *[each for each in rest if each is not None]]
        outputs[step] = hidden
    return build.concat(outputs, 0), [each for each in state if each is not None]


def _parts(call: Call, x: Wire, size: int) -> list[Wire]:
    return moved(call, torch.split, x, size, 1)


def _lstm_cell(
    call: Call, given: Wire, state: list[Wire | None], weight: torch.Tensor, bias: torch.Tensor, size: int
) -> tuple[Wire, Wire]:
    """Gates in the order i, f, o, g: three that one curve makes, and what is new."""
    build, (hidden, carried) = call.build, state
    summed = build.add(given, build.linear(hidden, weight, bias) if hidden else bias.reshape(1, -1))
    gates, new = moved(call, torch.split, summed, [3 * size, size], 1)
    gates, new = HANDLERS["sigmoid"](call, gates), HANDLERS["tanh"](call, new)
    inner, outer = moved(call, torch.split, gates, [2 * size, size], 1)
    if carried is None:
        (inner, _) = moved(call, torch.split, inner, size, 1)
        carried = build.multiply(inner, new)
    else:
        both = build.multiply(inner, build.concat([new, carried], 1))
        carried = build.total(build.reshape(both, (1, 2, size)), [1], False)
    return build.multiply(outer, HANDLERS["tanh"](call, carried)), carried


def _gru_cell(
    call: Call, given: Wire, state: list[Wire | None], weight: torch.Tensor, bias: torch.Tensor, size: int
) -> tuple[Wire, None]:
    build, (hidden,) = call.build, state
    recurrent = build.linear(hidden, weight, bias) if hidden else build.constant(bias.reshape(1, -1))
    own, other = _parts(call, given, size), _parts(call, recurrent, size)
    gate = HANDLERS["sigmoid"](call, build.add(build.concat(own[:2], 1), build.concat(other[:2], 1)))
    reset, update = _parts(call, gate, size)
    new = HANDLERS["tanh"](call, build.add(own[2], build.multiply(reset, other[2])))
    kept = build.times(new, -1.0) if hidden is None else build.subtract(hidden, new)
    return build.add(new, build.multiply(update, kept)), None


def _rnn_cell(function: str) -> Callable[..., tuple[Wire, None]]:
    def cell(
        call: Call, given: Wire, state: list[Wire | None], weight: torch.Tensor, bias: torch.Tensor, size: int
    ) -> tuple[Wire, None]:
        build, (hidden,) = call.build, state
        summed = build.add(given, build.linear(hidden, weight, bias) if hidden else bias.reshape(1, -1))
        return HANDLERS[function](call, summed), None

    return cell


HANDLERS["lstm"] = _recurrent(4, _lstm_cell)
HANDLERS["gru"] = _recurrent(3, _gru_cell)
HANDLERS["rnn_tanh"] = _recurrent(1, _rnn_cell("tanh"))
HANDLERS["rnn_relu"] = _recurrent(1, _rnn_cell("relu"))
