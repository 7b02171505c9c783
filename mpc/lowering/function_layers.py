"""Normalisation, activations and comparisons, by the names of PyTorch's operators (see
:mod:`sotto.mpc.lowering.operators`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F

from sotto.mpc.errors import ModelRefused
from sotto.mpc.graph import curves
from sotto.mpc.lowering.linear_builder import Function, Wire
from sotto.mpc.lowering.operators import (
    HANDLERS,
    Call,
    Handler,
    difference,
    handles,
    known,
    maximum,
    minimum,
    moved,
    only,
    product,
    wire,
)

# -- normalisation --------------------------------------------------------------------------------------------------


@handles("batch_norm", "_native_batch_norm_legit_no_training")
def _batch_norm(call: Call, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, *rest: Any) -> Any:
    training = isinstance(rest[0], bool) and rest[0]
    epsilon = next(each for each in reversed(rest) if isinstance(each, float))
    if training or mean is None or variance is None:
        raise ModelRefused("batch-norm", "batch norm has no running statistics: its output depends on the batch")
    scale = (torch.ones_like(mean) if weight is None else weight).double() / torch.sqrt(variance.double() + epsilon)
    shift = (torch.zeros_like(mean) if bias is None else bias).double() - mean.double() * scale
    result = call.build.normalise(wire(x), scale, shift, fold=call.sole)
    return [result, None, None] if len(call.outputs) > 1 else result


def _affine(call: Call, x: Wire, weight: Any, bias: Any, shape: Sequence[int]) -> Wire:
    if weight is not None:
        x = call.build.scale(x, weight.double().reshape(tuple(shape)))
    return x if bias is None else call.build.add(x, bias.double().reshape(tuple(shape)))


@handles("layer_norm")
def _layer_norm(
    call: Call, x: Any, shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Wire:
    axes = list(range(len(wire(x).shape) - len(shape), len(x.shape)))
    return _affine(call, call.build.standardised(x, axes, eps), weight, bias, shape)


@handles("rms_norm")
def _rms_norm(call: Call, x: Any, shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Wire:
    axes = list(range(len(wire(x).shape) - len(shape), len(x.shape)))
    epsilon = torch.finfo(torch.float32).eps if eps is None else eps
    return _affine(call, call.build.standardised(x, axes, epsilon, centre=False), weight, None, shape)


@handles("instance_norm")
def _instance_norm(
    call: Call, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, use_input: bool, _: float, eps: float,
    *rest: Any,
) -> Wire:  # fmt: skip
    if not use_input:
        return _batch_norm(call, x, weight, bias, mean, variance, False, eps)
    result = call.build.standardised(wire(x), list(range(2, len(x.shape))), eps)
    return _affine(call, result, weight, bias, (-1, *(1,) * (len(x.shape) - 2)))


@handles("group_norm")
def _group_norm(
    call: Call, x: Any, groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Wire:
    split = call.build.reshape(wire(x), (x.shape[0], groups, math.prod(x.shape[1:]) // groups))
    result = call.build.reshape(call.build.standardised(split, [2], eps), x.shape)
    return _affine(call, result, weight, bias, (-1, *(1,) * (len(x.shape) - 2)))


# -- activations ----------------------------------------------------------------------------------------------------


def _activation(name: str, function: Function) -> Handler:
    return lambda call, x, *_: call.build.activation(wire(x), name, function)


_SMOOTH: dict[str, Function] = {
    "tanh": torch.tanh, "sigmoid": torch.sigmoid, "silu": F.silu, "mish": F.mish, "log_sigmoid": F.logsigmoid,
    "erf": torch.erf,
}  # fmt: skip
HANDLERS.update({name: _activation(name, function) for name, function in _SMOOTH.items()})
HANDLERS["relu"] = lambda call, x: call.build.relu(wire(x))


@handles("gelu")
def _gelu(call: Call, x: Any, approximate: str = "none") -> Wire:
    name = "gelu" if approximate == "none" else "tanh_gelu"
    return call.build.activation(wire(x), name, lambda y: F.gelu(y, approximate=approximate))


@handles("softplus")
def _softplus(call: Call, x: Any, beta: float = 1, threshold: float = 20) -> Wire:
    scaled = call.build.activation(call.build.times(wire(x), float(beta)), "softplus", F.softplus)
    return call.build.times(scaled, 1 / beta)


@handles("elu", "celu", "selu")
def _elu(call: Call, x: Any, alpha: float = 1, scale: float = 1, inner: float = 1) -> Wire:
    curve = curves.elu(alpha, scale, inner, call.build.tolerance)
    return call.build.bend(
        wire(x), curve, lambda y: torch.where(y > 0, scale * y, scale * alpha * torch.expm1(inner * y.clamp(max=0)))
    )


HANDLERS["selu"] = lambda call, x: _elu(call, x, 1.6732632423543772, 1.0507009873554805)
HANDLERS["celu"] = lambda call, x, alpha=1.0: _elu(call, x, alpha, 1.0, 1 / alpha)


def _exact(call: Call, x: Any, name: str, points: list[tuple[float, float]], slopes: tuple[float, float]) -> Wire:
    return call.build.bend(wire(x), curves.exact(name, points, slopes))


@handles("prelu", "_prelu_kernel")
def _prelu(call: Call, x: Any, slope: Any) -> Wire:
    """max(x, 0) and the secret slope times min(x, 0)."""
    build, weight = call.build, known(slope).double()
    if weight.numel() > 1:
        weight = weight.reshape(-1, *(1,) * (len(wire(x).shape) - 2))
    below = _exact(call, x, "negative", [(0, 0)], (1, 0))
    return build.add(build.relu(wire(x)), build.scale(below, weight))


@handles("hardtanh", "clamp", "clip")
def _clamp(call: Call, x: Any, low: Any = None, high: Any = None, *, min: Any = None, max: Any = None) -> Wire:
    low, high = (min if low is None else low), (max if high is None else high)
    if isinstance(low, (Wire, torch.Tensor)) or isinstance(high, (Wire, torch.Tensor)):
        x = x if low is None else maximum(call, x, low)
        return wire(x) if high is None else minimum(call, x, high)
    if low is not None and high is not None:
        return _exact(call, x, "clamp", [(low, low), (high, high)], (0, 0))
    only(low is not None or high is not None, "a clamp without bounds")
    return (
        _exact(call, x, "clamp", [(low, low)], (0, 1))
        if high is None
        else _exact(call, x, "clamp", [(high, high)], (1, 0))
    )


HANDLERS["hardtanh"] = lambda call, x, low=-1.0, high=1.0: _clamp(call, x, low, high)
HANDLERS["relu6"] = lambda call, x: _clamp(call, x, 0.0, 6.0)
HANDLERS["clamp_min"] = _clamp
HANDLERS["clamp_max"] = lambda call, x, high: _clamp(call, x, None, high)


def _abs(call: Call, x: Any) -> Wire:
    return _exact(call, x, "abs", [(0, 0)], (-1, 1))


def _hardsigmoid(call: Call, x: Any) -> Wire:
    return _exact(call, x, "hardsigmoid", [(-3, 0), (3, 1)], (0, 0))


HANDLERS["abs"] = HANDLERS["absolute"] = _abs
HANDLERS["hardsigmoid"] = _hardsigmoid
HANDLERS["hardswish"] = lambda call, x: call.build.multiply(wire(x), _hardsigmoid(call, x))
HANDLERS["leaky_relu"] = lambda call, x, slope=0.01: _exact(call, x, "leaky", [(0, 0)], (slope, 1))
HANDLERS["softshrink"] = lambda call, x, edge=0.5: _exact(call, x, "softshrink", [(-edge, 0), (edge, 0)], (1, 1))


@handles("softsign")
def _softsign(call: Call, x: Any) -> Wire:
    return call.build.multiply(wire(x), call.build.reciprocal(call.build.add(_abs(call, x), 1.0)))


@handles("glu")
def _glu(call: Call, x: Any, dim: int = -1) -> Wire:
    value, gate = moved(call, torch.chunk, wire(x), 2, dim)
    return call.build.multiply(value, HANDLERS["sigmoid"](call, gate))


HANDLERS["exp"] = lambda call, x: call.build.exp(wire(x))
HANDLERS["log"] = lambda call, x: call.build.log(wire(x))
HANDLERS["log1p"] = lambda call, x: call.build.log(call.build.add(wire(x), 1.0))
HANDLERS["sqrt"] = lambda call, x: call.build.sqrt(wire(x))
HANDLERS["rsqrt"] = lambda call, x: call.build.rsqrt(wire(x))
HANDLERS["reciprocal"] = lambda call, x: call.build.reciprocal(wire(x))


def _softmax(log: bool) -> Handler:
    return lambda call, x, dim, *_, **__: call.build.softmax(wire(x), dim % len(x.shape), log=log)


HANDLERS.update(dict.fromkeys(("softmax", "_softmax", "_safe_softmax"), _softmax(log=False)))
HANDLERS.update(dict.fromkeys(("log_softmax", "_log_softmax"), _softmax(log=True)))


# -- comparisons ----------------------------------------------------------------------------------------------------


def _step(strict: bool, below: bool) -> Handler:
    """[x >= t] or, a unit in the last place higher, [x > t]; or their opposites."""

    def handler(call: Call, x: Any, y: Any) -> Wire:
        build = call.build
        if isinstance(y, (Wire, torch.Tensor)):
            x, y = difference(call, x, y), 0.0
        place = float(y) + (2.0**-16 if strict != below else 0.0)
        first, then = (1.0, 0.0) if below else (0.0, 1.0)
        return build.bend(wire(x), curves.stairs("step", [(place, then)], first, 16, 0))

    return handler


HANDLERS["ge"], HANDLERS["gt"] = _step(strict=False, below=False), _step(strict=True, below=False)
HANDLERS["lt"], HANDLERS["le"] = _step(strict=True, below=True), _step(strict=False, below=True)


HANDLERS["logical_not"] = lambda call, x: call.build.add(call.build.times(wire(x), -1.0), 1.0)
HANDLERS["bitwise_not"] = HANDLERS["logical_not"]
HANDLERS["logical_and"] = HANDLERS["bitwise_and"] = HANDLERS["mul"]


@handles("where")
def _where(call: Call, condition: Any, x: Any, y: Any) -> Wire:
    build = call.build
    if isinstance(condition, Wire):
        if not isinstance(x, Wire) and not isinstance(y, Wire):
            return build.add(product(call, condition, torch.as_tensor(x).double() - y), y)
        return build.add(build.multiply(condition, difference(call, x, y)), y)
    if isinstance(x, Wire) and isinstance(y, Wire):
        mask = condition.double()
        return build.add(build.scale(x, mask), build.scale(y, 1 - mask))
    kept = condition if isinstance(x, Wire) else ~condition
    value, other = (x, y) if isinstance(x, Wire) else (y, x)
    return _masked(call, wire(value), ~kept, other)


@handles("masked_fill")
def _masked_fill(call: Call, x: Any, mask: Any, value: Any) -> Wire:
    if isinstance(mask, Wire):
        return _where(call, mask, value, x)
    return _masked(call, wire(x), mask, value)


def _masked(call: Call, x: Wire, mask: torch.Tensor, fill: Any) -> Wire:
    fill = torch.as_tensor(fill, dtype=torch.float64)
    shape = torch.broadcast_shapes(x.shape, mask.shape, fill.shape)
    mask, fill = mask.expand(shape), fill.expand(shape)
    if bool((torch.isneginf(fill) | (fill <= -1e4))[mask].all()):
        return call.build.add(x, torch.zeros(shape, dtype=torch.float64).masked_fill(mask, -math.inf))
    kept = call.build.scale(x, (~mask).double())
    return call.build.add(kept, torch.where(mask, fill, 0.0))
