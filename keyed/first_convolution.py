"""Finding the convolution that reads the speech itself, and saying why there is none that a key can go into.

A key cancels only if the first thing a model computes from its input is one convolution that reads it in blocks:
kernel = stride = M, no padding, no dilation (Niwa, Shiota, Kiya, §III-B).  Three ways to find it, the surest first:

1. with an example input the model is run and watched: works for every model, and is proof for that input;
2. without one, the data is followed through the model by ``torch.fx``, where the model can be traced (in evaluation
   mode, as it is used);
3. a model that cannot be traced (Hugging Face's and torchaudio's speech models branch on their data), or of which a
   trace does not show all (hooks, a ``forward`` of one object's own), is run and watched on a chirp in the shapes that
   speech models take; where it takes none of them, the caller must give an example.

The order in which layers were registered says nothing about the order in which they run, so it is never relied upon.
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, fx, nn

from sotto.keyed.errors import NotEligibleError
from sotto.models.learning.seeding import seeded

Convolution = nn.Conv1d | nn.Conv2d
_TRANSPARENT = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d)  # these leave data alone in evaluation mode
_SHAPE_ATTRIBUTES = ("shape", "ndim", "dtype", "device")
_SHAPE_METHODS = ("size", "dim", "ndimension", "numel", "is_floating_point")
_COPIES = ("contiguous", "clone", "detach", "float", "double", "half", "bfloat16")
_LENGTHS = (16_000, 48_000)  # samples
_PLANES = ((128, 192), (192, 128), (224, 224), (64, 64), (32, 32))  # mel bands × frames, or pixels


def find_first_convolution(module: nn.Module, *, example: Tensor | None = None) -> str:
    """Name (as in ``named_modules``; "" for the module itself) of the convolution that the input reaches first.

    Raises:
        NotEligibleError: there is none, or something else reads the input too; the model cannot be copied, or does not
            run on the example.
    """
    return first_convolution_and_input(module, example)[0]


def first_convolution_and_input(module: nn.Module, example: Tensor | None) -> tuple[str, Tensor | None]:
    """Also the input that a copy of the model was run on, with its batch axis; None where it was not run."""
    if isinstance(module, torch.jit.ScriptModule):
        raise NotEligibleError("a scripted model cannot be looked into: encrypt the model it was scripted from")
    inside = module._modules.get("_orig_mod")  # what torch.compile wraps
    if inside is not None:
        name, shown = first_convolution_and_input(inside, example)
        return f"_orig_mod.{name}".removesuffix("."), shown
    if isinstance(module, Convolution) and example is None and not _has_more_than_a_trace_shows(module):
        return "", None
    if not any(isinstance(layer, Convolution) for layer in module.modules()):
        raise NotEligibleError(
            "this model has no Conv1d or Conv2d for a key to go into: train one whose first layer is a convolution "
            "with kernel = stride = M (a linear layer on blocks is one)"
        )
    module = copied(module).eval()
    if example is not None:
        return _watched_on_the_example(module, example), example
    graph = None if _has_more_than_a_trace_shows(module) else _traced(module)
    return _watched_on_a_chirp(module) if graph is None else (_followed(module, graph), None)


def copied(module: nn.Module) -> nn.Module:
    """A deep copy; raises NotEligibleError where none can be made."""
    try:
        return copy.deepcopy(module)
    except Exception as error:  # whatever a layer or attribute raises that does not like to be copied
        raise NotEligibleError(
            f"this model cannot be copied ({in_short(error)}): with weight norm in it, run it once under "
            "torch.no_grad() before; else take out what copy.deepcopy does not take"
        ) from error


def in_short(error: Exception) -> str:
    """An error of somebody else's code on a part of a line."""
    return textwrap.shorten(f"{type(error).__name__}: {error}", 100, placeholder=" …")


def _has_more_than_a_trace_shows(module: nn.Module) -> bool:
    """Whether a layer has hooks, other than those that compute weights, or a ``forward`` that is not its class's."""
    for layer in module.modules():
        hooks = (*layer._forward_pre_hooks.values(), *layer._forward_hooks.values())
        if "forward" in vars(layer) or not all(type(hook).__module__.startswith("torch.nn.utils.") for hook in hooks):
            return True
    return False


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Convolution) or super().is_leaf_module(m, module_qualified_name)


def _traced(module: nn.Module) -> fx.Graph | None:
    """The module's graph with optional arguments at their defaults, or None when it cannot be traced."""
    parameters = list(inspect.signature(module.forward).parameters.values())[1:]
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    try:
        return _Tracer().trace(module, concrete_args=defaults)
    except Exception:  # whatever a forward method raises on being given proxies instead of tensors
        return None


def _followed(module: nn.Module, graph: fx.Graph) -> str:
    node = next(node for node in graph.nodes if node.op == "placeholder")
    kept = 2  # block axes that are still as Alice's array has them
    while True:
        readers = [user for user in node.users if not _asks_shape(user)]
        if len(readers) != 1:
            raise NotEligibleError(
                f"the input is read in {len(readers)} places before the first convolution: a key cancels only in one"
            )
        source, node = node, readers[0]
        if node.op == "call_module":
            layer = module.get_submodule(str(node.target))
            if isinstance(layer, Convolution):
                if kept < _axes(layer):
                    raise NotEligibleError(
                        "a reshape before the first convolution may change the blocks: write the sizes it keeps as "
                        "x.shape[-1] (and x.shape[-2]), or pass example=, a typical input"
                    )
                if sum(other.target == node.target for other in graph.nodes) > 1:
                    raise NotEligibleError(f"the first convolution '{node.target}' is used more than once")
                if _is_read(graph, f"{node.target}.weight"):
                    raise NotEligibleError(f"something besides the first convolution '{node.target}' uses its weight")
                return str(node.target)
            if isinstance(layer, _TRANSPARENT):
                continue
        elif _leaves_blocks(node):
            continue
        elif _reshapes(node):
            kept = min(kept, _axes_kept(node, source))
            continue
        raise NotEligibleError(
            f"{_described(module, node)} works on the input before the first convolution: "
            "move it into the features that Alice computes before encryption"
        )


def _is_read(graph: fx.Graph, attribute: str) -> bool:
    found = (node for node in graph.nodes if node.op == "get_attr" and node.target == attribute)
    return any(not _asks_shape(user) for node in found for user in node.users)


def _asks_shape(node: fx.Node) -> bool:
    if node.op == "call_method":
        return node.target in _SHAPE_METHODS
    return node.op == "call_function" and node.target is getattr and node.args[1] in _SHAPE_ATTRIBUTES


def _leaves_blocks(node: fx.Node) -> bool:
    """Copies, casts, and a new axis in front of the data."""
    if node.target is operator.getitem and node.op == "call_function":
        return _adds_axes_in_front(node.args[1])
    if node.target == "to" and node.op == "call_method":
        return all(_keeps_numbers(argument) for argument in (*node.args[1:], *node.kwargs.values()))
    unsqueeze = node.target in ("unsqueeze", torch.unsqueeze)
    if unsqueeze and node.op in ("call_method", "call_function"):
        axis = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
        return axis in (0, 1)
    return node.op == "call_method" and node.target in _COPIES


def _keeps_numbers(argument: Any) -> bool:
    """An argument of ``to`` that is no cast to integers."""
    if isinstance(argument, fx.Node):
        return argument.target is getattr and argument.args[1] in ("dtype", "device")
    return argument.is_floating_point if isinstance(argument, torch.dtype) else not isinstance(argument, Tensor)


def _adds_axes_in_front(index: Any) -> bool:
    """``x[None]``, ``x[:, None]`` and the like: whole slices; only the batch axis before the new ones."""
    parts = list(index) if isinstance(index, tuple) else [index]
    if not all(part is None or part is Ellipsis or part == slice(None) for part in parts):
        return False
    new = [place for place, part in enumerate(parts) if part is None]
    before = parts[: new[-1]] if new else []
    return Ellipsis not in before and sum(part == slice(None) for part in before) <= 1


def _reshapes(node: fx.Node) -> bool:
    methods, functions = ("reshape", "view"), (torch.reshape,)
    return node.target in (methods if node.op == "call_method" else functions)


def _axes_kept(node: fx.Node, source: fx.Node) -> int:
    """How many of the last axes a reshape leaves: those whose new size is the old one, written as such."""
    sizes = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    kept = 0
    while kept < len(sizes) and _is_size(sizes[-1 - kept], source, -1 - kept):
        kept += 1
    return kept


def _is_size(size: Any, source: fx.Node, axis: int) -> bool:
    """Whether ``size`` is ``source.shape[axis]`` or ``source.size(axis)``."""
    if not isinstance(size, fx.Node):
        return False
    if size.op == "call_method" and size.target == "size":
        return size.args == (source, axis)
    if size.op != "call_function" or size.target is not operator.getitem or size.args[1] != axis:
        return False
    shape = size.args[0]
    if not isinstance(shape, fx.Node) or not shape.args or shape.args[0] is not source:
        return False
    return shape.target == "size" or (shape.target is getattr and shape.args[1] == "shape")


def _axes(layer: nn.Module) -> int:
    return 1 if isinstance(layer, nn.Conv1d) else 2


def _described(module: nn.Module, node: fx.Node) -> str:
    if node.op == "call_module":
        return f"layer '{node.target}' ({type(module.get_submodule(str(node.target))).__name__})"
    if node.op == "output":
        return "the output"
    return f"the operation '{getattr(node.target, '__name__', node.target)}'"


def _watched_on_the_example(module: nn.Module, example: Tensor) -> str:
    floating = isinstance(example, Tensor) and example.is_floating_point() and example.numel() > 0
    if not floating or not example.isfinite().all() or example.min() == example.max():
        raise NotEligibleError(
            "example= is a floating-point tensor with finite values, not all equal: pass a typical input with its "
            "batch axis"
        )
    try:
        return _watched(module, example)
    except NotEligibleError:
        raise
    except Exception as error:  # whatever a forward method raises on an input it was not made for
        raise NotEligibleError(
            f"the model does not run on the example of shape {tuple(example.shape)} ({in_short(error)}): pass a "
            "typical input with its batch axis"
        ) from error


def _watched_on_a_chirp(module: nn.Module) -> tuple[str, Tensor]:
    """Run the model on a chirp in the shapes that its convolutions could be given, until it takes one; name, chirp."""
    convolutions = [layer for _, layer in _leaves(module) if isinstance(layer, Convolution)]
    for chirp in chirps(convolutions, next(module.parameters())):
        try:
            return _watched(module, chirp), chirp
        except NotEligibleError:
            raise
        except Exception:  # noqa: S112  whatever a forward method raises on a shape it was not made for
            continue
    raise NotEligibleError(
        "this model can neither be traced nor run on inputs of the usual shapes: pass example=, a typical input"
    )


def chirps(convolutions: Iterable[nn.Module], like: Tensor) -> Iterator[Tensor]:
    """A chirp in each of the shapes that speech models with these convolutions take, dtype and device as ``like``."""
    for shape in dict.fromkeys(shape for layer in convolutions for shape in _shapes_for(layer)):
        place = torch.arange(math.prod(shape), dtype=torch.float64)
        chirp = (1 + place + 1e-5 * place**2).sin().reshape(shape)  # no number near its neighbours, from the first on
        yield chirp.to(like)


def _shapes_for(layer: nn.Module) -> Iterator[tuple[int, ...]]:
    """Inputs, batch axis first, with and without the axis of channels."""
    if isinstance(layer, nn.Conv1d):
        for samples in _LENGTHS:
            yield from ((1, samples),) if layer.in_channels == 1 else ()
            yield (1, layer.in_channels, samples)
    elif isinstance(layer, nn.Conv2d):
        for plane in _PLANES:
            yield (1, layer.in_channels, *plane)
            yield from ((1, *plane),) if layer.in_channels == 1 else ()


def _watched(module: nn.Module, example: Tensor) -> str:
    """Run a copy on ``example``; the first convolution must get the example itself, up to axes in front."""
    watched = copied(module).eval()
    calls: list[tuple[str, Tensor]] = []

    def remember(name: str) -> Any:
        def hook(_: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
            data = next((value for value in (*arguments, *keywords.values()) if isinstance(value, Tensor)), None)
            if data is not None:
                calls.append((name, data.detach().clone()))

        return hook

    layers = {name: layer for name, layer in _leaves(watched) if isinstance(layer, Convolution)}
    for name, layer in layers.items():
        layer.register_forward_pre_hook(remember(name), with_kwargs=True)
    with torch.no_grad(), seeded(0):
        watched(example)
    if not calls:
        raise NotEligibleError("no Conv1d or Conv2d was reached by the example: there is nothing for a key to go into")
    name, data = calls[0]
    axes = _axes(layers[name])
    if data.shape[-axes:] != example.shape[-axes:] or not torch.equal(data.flatten(), example.flatten()):
        raise NotEligibleError(
            f"the first convolution '{name}' does not get the input as it is: move what changes it into the features "
            "that Alice computes before encryption"
        )
    if sum(other == name for other, _ in calls) > 1:
        raise NotEligibleError(f"the first convolution '{name}' is used more than once")
    return name


def _leaves(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Layers without layers inside; a convolution with parametrizations counts as one."""
    within: tuple[str, ...] = ()
    for name, layer in module.named_modules():
        if name.startswith(within) and within:
            continue
        if isinstance(layer, Convolution):
            within = (*within, f"{name}.")
            yield name, layer
        elif name and next(layer.children(), None) is None:
            yield name, layer
