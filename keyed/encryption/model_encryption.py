"""Encrypting a model: its first convolution under the key, so that encrypted speech gives the plain model's answers.

The model owner does this, after training, where the key is; the copy goes to the provider.  With x' = x K the kernel
becomes e' = e K, and x'·e' = x K Kᵀ eᵀ = x·e (Niwa, Shiota, Kiya, §III-B, eq. 16 to 22): kernels are transformed
exactly as speech blocks are.  Biases and all other layers stay as they are, **in the clear**: this is to hide speech
from the provider, not the model, and a provider who knows the plain kernel (of a published model, say) computes the key
from it (:mod:`sotto.keyed.attacks.known_plaintext`).

A key cancels only if the first thing a model computes from its input is one convolution that reads it in blocks: kernel
= stride = M, no padding, no dilation (§III-B).  Of the layer this is read off; that nothing else reads the input, or
the kernel, is shown by running both models on an example: encrypted on encrypted has to be plain on plain.  What an
example does not reach (another branch, inputs louder than a limiter) it does not show.

For the same input in the same shape, Flipping gives bit-identical outputs; Shuffling and ROM differ by rounding, since
the terms of each sum are added in another order.
"""

from __future__ import annotations

import copy
import dataclasses
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sotto.keyed.encryption.keys import Key
from sotto.keyed.encryption.transform import encrypt, whole_blocks
from sotto.keyed.errors import NotEligibleError
from sotto.models.learning.seeding import seeded

_LARGEST_DIFFERENCE = 0.01  # of the largest output; rounding stays far below, another reader of the input far above
_LARGEST_IN_HALF_PRECISION = 0.1
_ANOTHER_READER = (
    "something besides the first convolution reads the input or its weight: move it into the features, or name the "
    "convolution that reads the input with layer="
)

Convolution = nn.Conv1d | nn.Conv2d


def encrypt_model(module: nn.Module, key: Key, *, example: Tensor, layer: str | None = None) -> nn.Module:
    """A deep copy of ``module`` that takes speech encrypted under ``key``; the original is left as it is.

    In evaluation mode the copy answers as the original does in evaluation mode, whichever mode it was given in.

    Parameters
    ----------
    module
        any model whose first layer is a Conv1d (key of dimension 1) or Conv2d (dimension 2) with kernel =
        stride = the key's block size; any channels, groups, dtype, bias.
    example
        a typical input with its batch axis, in the model's dtype and on its device; the two models have to
        agree on it.
    layer
        name of that convolution (as in ``named_modules``); by default :func:`find_first_convolution`.

    Raises
    ------
    NotEligibleError
        the model cannot be encrypted with this key: why, and what would make it eligible.
    """
    _require_telling(example)
    name = find_first_convolution(module) if layer is None else layer
    _require_eligible(module, name, key)
    encrypted = _copied(module)
    kernel = encrypted.get_submodule(name).get_parameter("weight")
    with torch.no_grad():
        kernel.copy_(encrypt(kernel.cpu().double(), key))
    _require_agreement(module, encrypted, key, example)
    return encrypted


def find_first_convolution(module: nn.Module) -> str:
    """Name (as in ``named_modules``; "" for the module itself) of the convolution that was registered first.

    Nothing says that it runs first: :func:`encrypt_model` finds out.

    Raises
    ------
    NotEligibleError
        there is none.
    """
    if isinstance(module, torch.jit.ScriptModule):
        raise NotEligibleError(
            "scripted", "a scripted model cannot be looked into: encrypt the model it was scripted from"
        )
    for name, layer in module.named_modules():
        if isinstance(layer, Convolution):
            return name
    raise NotEligibleError(
        "no-convolution",
        "this model has no Conv1d or Conv2d for a key to go into: train one whose first layer is a convolution "
        "with kernel = stride = M (a linear layer on blocks is one)",
    )


def _require_telling(example: Tensor) -> None:
    floating = isinstance(example, Tensor) and example.is_floating_point() and example.numel() > 0
    if not floating or not example.isfinite().all() or example.min() == example.max():
        raise NotEligibleError(
            "bad-example",
            "example= is a floating-point tensor with finite values, not all equal: pass a typical input with its "
            "batch axis",
        )


def _require_eligible(module: nn.Module, name: str, key: Key) -> None:
    layer = dict(module.named_modules(remove_duplicate=False)).get(name)
    called = f"the first convolution '{name}'" if name else "the convolution"
    if not isinstance(layer, Convolution):
        raise NotEligibleError(
            "no-such-layer", f"the model has no Conv1d or Conv2d '{name[:60]}': name the layer that reads the input"
        )
    dimension = 1 if isinstance(layer, nn.Conv1d) else 2
    if dimension != key.dimension:
        raise NotEligibleError(
            "wrong-dimension", f"{called} is a Conv{dimension}d: it needs a key of dimension {dimension}"
        )
    m = (key.block_size,) * dimension
    plain = layer.padding in ("valid", (0,) * dimension) and layer.dilation == (1,) * dimension
    if plain and layer.kernel_size == layer.stride and len(set(layer.kernel_size)) == 1 and layer.kernel_size != m:
        raise NotEligibleError(
            "wrong-block-size",
            f"{called} reads blocks of {layer.kernel_size[0]} and the key is for blocks of {key.block_size}: "
            f"generate a key of block size {layer.kernel_size[0]}",
        )
    if not plain or layer.kernel_size != m or layer.stride != m:
        raise NotEligibleError(
            "wrong-geometry",
            f"{called} has kernel {layer.kernel_size}, stride {layer.stride}, padding {layer.padding}, dilation "
            f"{layer.dilation}: train the model with kernel = stride = {key.block_size}, padding 0, dilation 1 there "
            "(nothing else need change)",
        )
    weight = layer._parameters.get("weight")
    if weight is None:
        raise NotEligibleError(
            "parametrized", f"{called} computes its weight from others: remove its parametrization or weight norm"
        )
    if weight.is_meta or isinstance(weight, nn.UninitializedParameter) or not weight.is_floating_point():
        raise NotEligibleError(
            "no-weights",
            f"{called} has no floating-point weights: load them, or run the model once, before it is quantised",
        )


def _copied(module: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a layer or attribute raises that does not like to be copied
        raise NotEligibleError(
            "cannot-copy",
            f"this model cannot be copied ({_in_short(error)}): with weight norm in it, run it once under "
            "torch.no_grad() before; else take out what copy.deepcopy does not take",
        ) from error


def _in_short(error: Exception) -> str:
    """An error of somebody else's code on a part of a line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 100, placeholder=" …")


def _require_agreement(module: nn.Module, encrypted: nn.Module, key: Key, shown: Tensor) -> None:
    """Encrypted on encrypted is plain on plain, wherever the two answers can be compared."""
    try:
        whole, hidden = whole_blocks(shown, key.block_size, key.dimension), encrypt(shown, key)
        expected = list(_tensors(_answer(module, whole)))
    except Exception as error:  # whatever a forward method raises on an input it was not made for
        raise NotEligibleError(
            "does-not-run",
            f"the model does not run on the example of shape {tuple(shown.shape)} in whole blocks "
            f"({_in_short(error)}): pass a typical input with its batch axis, in lengths that are multiples of "
            f"{key.block_size}",
        ) from error
    if torch.equal(whole, hidden):
        raise NotEligibleError(
            "changes-nothing", "the key leaves the blocks of the example as they are: pass a typical input"
        )
    try:
        found = list(_tensors(_answer(encrypted, hidden)))
    except Exception as error:
        raise NotEligibleError(
            "other-reader",
            f"the encrypted model does not run on an input ({_in_short(error)}) whose like the plain one takes: "
            f"{_ANOTHER_READER}",
        ) from error
    if [each.shape for each in expected] != [each.shape for each in found]:
        raise NotEligibleError(
            "other-reader",
            f"the encrypted model's answer to an input has another shape than the plain one's: {_ANOTHER_READER}",
        )
    compared = False
    for want, have in zip(expected, found, strict=True):
        finite = want.isfinite()
        if not finite.any():
            continue
        difference, largest = (want - have)[finite].abs().max(), want[finite].abs().max()
        full = want.dtype in (torch.float32, torch.float64) and hidden.dtype in (torch.float32, torch.float64)
        if not difference <= (_LARGEST_DIFFERENCE if full else _LARGEST_IN_HALF_PRECISION) * largest:
            raise NotEligibleError(
                "other-reader",
                f"the encrypted model differs from the plain one by {float(difference):.2g} on an input: "
                f"{_ANOTHER_READER}",
            )
        compared = compared or bool(largest > 0)
    if not compared:
        raise NotEligibleError(
            "nothing-to-compare",
            "the model's answer holds nothing that can be compared with the encrypted model's: make it return "
            "floating-point scores that are not all 0 (tensors, in a tuple, mapping or dataclass)",
        )


def _answer(module: nn.Module, x: Tensor) -> Any:
    """Of a copy in evaluation mode, which draws the same random numbers, if any, every time."""
    inside = module._modules.get("_orig_mod")  # what torch.compile wraps: there is no need to compile it for one input
    with torch.no_grad(), seeded(0):
        return _copied(module if inside is None else inside).eval()(x)


def _tensors(output: Any) -> Iterator[Tensor]:
    """The floating-point tensors of whatever a model returns."""
    if isinstance(output, Tensor):
        if output.is_floating_point() and output.numel():
            yield output
    elif isinstance(output, Mapping):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from _tensors(value)
    elif dataclasses.is_dataclass(output):
        for field in dataclasses.fields(output):
            yield from _tensors(getattr(output, field.name, None))
