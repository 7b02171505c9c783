"""Encrypting a model: its first convolution under the key, so that encrypted speech gives the plain model's answers.

The model owner does this, after training, where the key is; the copy goes to the provider.  With x' = x K the kernel
becomes e' = e K, and x'·e' = x K Kᵀ eᵀ = x·e (Niwa, Shiota, Kiya, §III-B, eq. 16 to 22): kernels are transformed
exactly as speech blocks are.  Biases and all other layers stay as they are, **in the clear**: this is to hide speech
from the provider, not the model, and a provider who knows the plain kernel (of a published model, say) computes the key
from it (:mod:`sotto.keyed.attacks.known_plaintext`).

For the same input in the same shape, Flipping gives bit-identical outputs; Shuffling and ROM differ by rounding, since
the terms of each sum are added in another order.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.lazy import LazyModuleMixin

from sotto.keyed.errors import NotEligibleError
from sotto.keyed.first_convolution import Convolution, chirps, copied, first_convolution_and_input, in_short
from sotto.keyed.keys import Key
from sotto.keyed.transform import encrypt, whole_blocks
from sotto.models.learning.seeding import seeded

_LARGEST_DIFFERENCE = 0.01  # of the largest output; rounding stays far below, another reader of the input far above
_LARGEST_IN_HALF_PRECISION = 0.1
_ANOTHER_READER = "something besides the first convolution reads the input or its weight; move it into the features"


def encrypt_model(module: nn.Module, key: Key, *, example: Tensor | None = None) -> nn.Module:
    """A deep copy of ``module`` that takes speech encrypted under ``key``; the original is left as it is.

    In evaluation mode the copy answers as the original does in evaluation mode, whichever mode it was given in.

    Args:
        module: any model whose first layer is a Conv1d (key of dimension 1) or Conv2d (dimension 2) with kernel =
            stride = the key's block size; any channels, groups, dtype, bias.
        example: a typical input with its batch axis, which the model is run on to find the convolution; needed for
            models that ``torch.fx`` cannot trace and that take none of the usual shapes
            (:mod:`sotto.keyed.first_convolution`).  The encrypted copy has to agree with the model on the input that
            the model was run on; where it was traced, on a chirp, if it takes one of a usual shape.

    Raises:
        NotEligibleError: the model cannot be encrypted with this key: why, and what would make it eligible.
    """
    name, shown = first_convolution_and_input(module, example)
    _require_eligible(module, name, key)
    encrypted = copied(module)
    kernel = encrypted.get_submodule(name).get_parameter("weight")
    with torch.no_grad():
        kernel.copy_(encrypt(kernel.cpu().double(), key))
    if shown is not None:
        _require_agreement(module, encrypted, key, shown)
    else:
        _require_agreement_on_a_chirp(module, encrypted, key, module.get_submodule(name))
    return encrypted


def _require_eligible(module: nn.Module, name: str, key: Key) -> None:
    layer = module.get_submodule(name)
    called = f"the first convolution '{name}'" if name else "the convolution"
    if not isinstance(layer, Convolution):  # the search only returns these
        raise NotEligibleError(f"{called} is no Conv1d or Conv2d")
    dimension = 1 if isinstance(layer, nn.Conv1d) else 2
    if dimension != key.dimension:
        raise NotEligibleError(f"{called} is a Conv{dimension}d: it needs a key of dimension {dimension}")
    m = (key.block_size,) * dimension
    plain = layer.padding in ("valid", (0,) * dimension) and layer.dilation == (1,) * dimension
    if plain and layer.kernel_size == layer.stride and len(set(layer.kernel_size)) == 1 and layer.kernel_size != m:
        raise NotEligibleError(
            f"{called} reads blocks of {layer.kernel_size[0]} and the key is for blocks of {key.block_size}: "
            f"generate a key of block size {layer.kernel_size[0]}"
        )
    if not plain or layer.kernel_size != m or layer.stride != m:
        raise NotEligibleError(
            f"{called} has kernel {layer.kernel_size}, stride {layer.stride}, padding {layer.padding}, dilation "
            f"{layer.dilation}: train the model with kernel = stride = {key.block_size}, padding 0, dilation 1 there "
            "(nothing else need change)"
        )
    _require_plain_weight(module, layer, called)


def _require_plain_weight(module: nn.Module, layer: nn.Module, called: str) -> None:
    weight = layer._parameters.get("weight")
    if isinstance(layer, LazyModuleMixin) or (weight is not None and weight.is_meta):
        raise NotEligibleError(f"{called} has no weights yet: load them, or run the model once, first")
    if weight is None:
        raise NotEligibleError(f"{called} computes its weight from others: remove its parametrization or weight norm")
    if not weight.is_floating_point():
        raise NotEligibleError(
            f"{called} has weights of {weight.dtype}: encrypt it in floating point, before it is quantised"
        )
    if not any(_computes_like(layer, plain) for plain in (nn.Conv1d, nn.Conv2d)):
        raise NotEligibleError(f"{called} is a {type(layer).__name__} with its own forward: use a plain convolution")
    others = [name for name, other in module.named_modules() if other is not layer and _has(other, weight)]
    if others:
        raise NotEligibleError(f"{called} shares its weight with '{others[0]}': give each layer its own")


def _computes_like(layer: nn.Module, plain: type[Convolution]) -> bool:
    own = type(layer)
    return own.forward is plain.forward and getattr(own, "_conv_forward", None) is plain._conv_forward


def _has(layer: nn.Module, weight: Tensor) -> bool:
    return any(parameter is weight for parameter in layer._parameters.values())


def _require_agreement(module: nn.Module, encrypted: nn.Module, key: Key, shown: Tensor) -> None:
    whole, hidden = whole_blocks(shown, key.block_size, key.dimension), encrypt(shown, key)
    if torch.equal(whole, hidden):
        raise NotEligibleError("the key leaves the blocks of the example as they are: pass a typical input")
    try:
        expected = _answer(module, whole)
    except Exception as error:  # whatever a forward method raises on an input it was not made for
        raise NotEligibleError(
            f"the model does not run on whole blocks, an input of shape {tuple(whole.shape)} ({in_short(error)}): "
            f"pass example=, a typical input in lengths that are multiples of {key.block_size}"
        ) from error
    if not _agree(expected, encrypted, hidden, _LARGEST_DIFFERENCE):
        raise NotEligibleError(
            "the model's answer holds nothing that can be compared with the encrypted model's: make it return "
            "floating-point scores that are not all 0 (tensors, in a tuple, mapping or dataclass)"
        )


def _require_agreement_on_a_chirp(module: nn.Module, encrypted: nn.Module, key: Key, first: nn.Module) -> None:
    """After a trace: for what Python does beside it, where the model takes a chirp and says something to compare.

    The trace has shown what reads the input, so there is room here for a model that computes in half precision inside.
    """
    for chirp in chirps([first], first.get_parameter("weight")):
        try:
            hidden = encrypt(chirp, key)
            expected = _answer(module, whole_blocks(chirp, key.block_size, key.dimension))
        except Exception:  # noqa: S112  whatever a forward method raises on a shape it was not made for
            continue
        _agree(expected, encrypted, hidden, _LARGEST_IN_HALF_PRECISION)
        return


def _agree(expected: Any, encrypted: nn.Module, hidden: Tensor, most: float) -> bool:
    """Whether the encrypted model's answer could be compared; raises NotEligibleError where it is another one."""
    try:
        found = list(_tensors(_answer(encrypted, hidden)))
    except Exception as error:
        raise NotEligibleError(
            f"the encrypted model does not run on an input ({in_short(error)}) whose like the plain one takes: "
            f"{_ANOTHER_READER}"
        ) from error
    plain = list(_tensors(expected))
    if [each.shape for each in plain] != [each.shape for each in found]:
        raise NotEligibleError(
            f"the encrypted model's answer to an input has another shape than the plain one's: {_ANOTHER_READER}"
        )
    compared = False
    for want, have in zip(plain, found, strict=True):
        finite = want.isfinite()
        if not finite.any():
            continue
        difference, largest = (want - have)[finite].abs().max(), want[finite].abs().max()
        full = want.dtype in (torch.float32, torch.float64) and hidden.dtype in (torch.float32, torch.float64)
        if not difference <= (most if full else _LARGEST_IN_HALF_PRECISION) * largest:
            raise NotEligibleError(
                f"the encrypted model differs from the plain one by {float(difference):.2g} on an input: "
                f"{_ANOTHER_READER}"
            )
        compared = compared or bool(largest > 0)
    return compared


def _answer(module: nn.Module, x: Tensor) -> Any:
    """Of a copy in evaluation mode, which draws the same random numbers, if any, every time."""
    inside = module._modules.get("_orig_mod")  # what torch.compile wraps: there is no need to compile it for one input
    with torch.no_grad(), seeded(0):
        return copied(module if inside is None else inside).eval()(x)


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
