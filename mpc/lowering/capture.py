"""From a PyTorch module to a public plan and Bob's weights, through ``torch.export``.  No ONNX.

The module is exported in evaluation mode for one example, so every shape is known, Python's own branches and loops
are gone, and the axis of the batch may wander.  What does not depend on the input (weights, masks,
positions, a norm's scale) is computed at once; a batch norm folds into the convolution or linear layer before it, and
dropout disappears.  Each other operator goes through :mod:`sotto.mpc.lowering.operators`; all that have no private
counterpart are refused together, by name and place.  Only shapes and the numbers written in the module's code (factors,
slopes, epsilons) go into the plan; tensors go into ``Weights`` and stay with Bob.  At the end the plan is computed in
clear, with the functions that it approximates, and compared with the module on a batch of two.
"""

from __future__ import annotations

import copy
import inspect
import math
import operator
import threading
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, get_args

import numpy as np
import torch
from torch import fx, nn
from torch.utils import _pytree as pytree

from sotto.mpc.errors import ModelRefused, PlanError
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plain import evaluate
from sotto.mpc.graph.plan import Final, ModelPlan, Weights
from sotto.mpc.lowering import function_layers, operators, sequence_layers, window_layers  # noqa: F401  they fill the table
from sotto.mpc.lowering.graph_builder import Builder
from sotto.mpc.lowering.linear_builder import Function, Wire
from sotto.mpc.lowering.operators import HANDLERS, INSTEAD, MOVES, SAME, Call
from sotto.mpc.lowering.polynomials import Polynomials

#: Which of a module's results: a key, an attribute or an index; a tuple of them: several, one after the other.
Output: TypeAlias = str | int | tuple[str | int, ...] | None

#: The largest error of a function that is approximated, unless somebody wants another.
DEFAULT_ACTIVATION_ERROR = 1e-3

#: While PyTorch exports, it changes what calling any module means, in every thread.  Hold this to trace or to call one.
tracing = threading.RLock()


def trace(
    module: nn.Module,
    input_shape: Shape,
    *,
    input_limit: float,
    activation_error: float = DEFAULT_ACTIVATION_ERROR,
    output: Output = None,
) -> tuple[ModelPlan, Weights]:
    """The plan of ``module`` for examples of ``input_shape``, and its float32 tensors by layer number.

    ``output`` chooses among several results: a key, an attribute or an index.  Raises :class:`ModelRefused` with one
    line that names every part that cannot be evaluated privately.
    """
    with tracing, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of PyTorch about its own deprecations and about buffers of RNNs
        return _trace(module, input_shape, input_limit, activation_error, output)


def _trace(
    module: nn.Module, input_shape: Shape, input_limit: float, error: float, output: Output
) -> tuple[ModelPlan, Weights]:
    if not input_shape or not all(isinstance(length, int) and length > 0 for length in input_shape):
        raise ModelRefused(
            "bad-shape", f"the input shape of one example is a tuple of positive integers, not {input_shape!r}"
        )
    if not 1e-6 <= error <= 0.5:
        raise ModelRefused("bad-activation-error", f"activation_error is between 1e-6 and 0.5, not {error!r}")
    copied = _evaluated(module)
    program = _exported(copied, tuple(input_shape))
    walk = _Walk(program, Builder(tuple(input_shape), float(input_limit), error))
    plan, weights, functions = walk.run(output)
    try:
        plan.shapes()
    except PlanError as broken:
        raise ModelRefused("no-plan", f"{type(module).__name__} gives no usable plan: {broken}") from None
    for number, tensors in weights.items():
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                kind = type(plan.layers[number]).__name__
                raise ModelRefused("not-finite", f"the {name} of layer {number} ({kind}) holds NaN or infinity")
    _require_same(copied, plan, weights, functions, output)
    return plan, weights


def _evaluated(module: nn.Module) -> nn.Module:
    try:
        copied = copy.deepcopy(module).cpu().float().eval()
        needed = [
            each for each in inspect.signature(copied.forward).parameters.values()
            if each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)
        ]  # fmt: skip
    except Exception as error:  # a module's own Python may raise anything
        raise ModelRefused("cannot-copy", f"{type(module).__name__} cannot be copied: {_first_line(error)}") from None
    if len(needed) > 1:
        raise ModelRefused("many-inputs", f"{type(module).__name__} takes {len(needed)} inputs; one is supported")
    return copied


def _exported(module: nn.Module, input_shape: Shape) -> Any:
    """The module's graph for one example, without operators that write into their input."""
    example = (torch.zeros(1, *input_shape),)
    for name, part in module.named_modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm) and part.running_mean is None:
            raise ModelRefused(
                "batch-norm", f"'{name}' (BatchNorm) has no running statistics: its output depends on the batch"
            )
    try:
        with torch.no_grad():
            module(*example)
    except Exception as error:
        raise ModelRefused(
            "does-not-run", f"the module does not run on shape {input_shape}: {_first_line(error)}"
        ) from None
    try:
        with torch.no_grad():
            program = torch.export.export(module, example, strict=False)
            return program.run_decompositions({}) if _writes(program.graph) else program
    except Exception as error:
        raise ModelRefused(
            "cannot-trace", f"torch.export cannot trace {type(module).__name__}: {_first_line(error)}"
        ) from None


def _writes(graph: fx.Graph) -> bool:
    """Whether some operator changes a tensor that is used again."""
    order = {node: at for at, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if node.op == "call_function" and _operator(node).endswith("_") and not _operator(node).startswith("_"):
            written = node.args[0]
            later = isinstance(written, fx.Node) and any(order[user] > order[node] for user in written.users)
            if later or (isinstance(written, fx.Node) and _operator(written) in MOVES):
                return True
    return False


def _operator(node: fx.Node) -> str:
    """The bare name of the operator: 'linear' for aten.linear.default."""
    if node.op != "call_function":
        return ""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet))


def _require_same(
    module: nn.Module, plan: ModelPlan, weights: Weights, functions: Mapping[int, Function], output: Output
) -> None:
    """Compare plan and module on a batch of two: a module that mixes the examples of a batch is found out."""
    count = 2 * math.prod(plan.input_shape)
    features = torch.sin(torch.arange(1.0, count + 1)).reshape(2, *plan.input_shape) * min(1.0, plan.input_limit)
    planned = evaluate(plan, weights, features, functions)
    with torch.no_grad():
        single = [_values_of(module(each[None]), output).reshape(1, -1).numpy() for each in features]
        try:
            batch = _values_of(module(features), output).numpy()
        except Exception as error:
            raise ModelRefused(
                "one-example-only", f"the module runs on one example but not on two: {_first_line(error)}"
            ) from None
    expected = np.concatenate(single)
    if not _close(planned, expected):
        raise ModelRefused(
            "other-function", "the module does not compute what its layers say: replace steps that change their input"
        )
    if batch.shape[:1] != (2,) or not _close(batch.reshape(2, -1), expected):
        raise ModelRefused("mixes-batch", "the module mixes the examples of a batch: keep the first axis as it is")


def _close(found: Any, expected: Any) -> bool:
    tolerance = 1e-3 * float(np.abs(expected).max(initial=1e-3))
    return found.shape == expected.shape and bool(np.allclose(found, expected, rtol=1e-3, atol=tolerance))


def _values_of(result: Any, output: Output) -> torch.Tensor:
    """The results meant, one row of values for each example."""
    if isinstance(output, tuple):
        parts = [_chosen(result, each) for each in output]
        return torch.cat([each.reshape(len(each), -1) for each in parts], dim=1)
    chosen: torch.Tensor = _chosen(result, output)
    return chosen


def _chosen(result: Any, output: str | int | None) -> Any:
    """The one tensor meant among a module's results."""
    if isinstance(result, (torch.Tensor, fx.Node)):
        return result
    found: Any = None
    if isinstance(result, Mapping):
        key = "logits" if output is None and "logits" in result else output
        found = result.get(key)
    elif isinstance(output, int) and isinstance(result, Sequence) and -len(result) <= output < len(result):
        found = result[output]
    elif isinstance(output, str):
        found = getattr(result, output, None)
    elif output is None and isinstance(result, Sequence) and len(result) == 1:
        found = result[0]
    if not isinstance(found, (torch.Tensor, fx.Node)):
        given = ", ".join(map(str, result)) if isinstance(result, Mapping) else type(result).__name__
        raise ModelRefused(
            "not-logits",
            f"the module returns something other than one tensor of logits ({given}): say which with output=",
        )
    return found


_NO_FINAL: Final = "none"


class _Unknown:
    """What a refused operator would have given."""


_UNKNOWN = _Unknown()


class _Walk:
    """One pass over the exported graph in order."""

    def __init__(self, program: Any, build: Builder) -> None:
        self._program = program
        self._build = build
        self._polynomials = Polynomials(build)
        self._values: dict[fx.Node, Any] = {}
        self._refused: dict[str, None] = {}  # in order, each once

    def run(self, output: Output) -> tuple[ModelPlan, Weights, dict[int, Function]]:
        graph = self._program.graph
        graph.eliminate_dead_code()
        self._place_inputs()
        (end,) = (node for node in graph.nodes if node.op == "output")
        results = pytree.tree_unflatten(end.args[0], self._program.call_spec.out_spec)
        if isinstance(output, tuple):
            several, final, flat = [_chosen(results, each) for each in output], _NO_FINAL, True
        else:
            chosen, final, flat = _last_layer(_chosen(results, output))
            several = [chosen]
        needed = {node for chosen in several for node in _ancestors(chosen)}
        with torch.no_grad():
            for node in graph.nodes:
                if node.op == "call_function" and node in needed:
                    self._values[node] = self._step(node)
        if self._refused:
            raise ModelRefused("not-supported", "; ".join(self._refused))
        wires = [self._values[chosen] for chosen in several]
        if not all(isinstance(wire, Wire) for wire in wires):
            raise ModelRefused("independent-of-input", "the module's result does not depend on its input")
        if flat:
            wires = [self._build.reshape(wire, (1, math.prod(wire.shape))) for wire in wires]
        result = self._build.concat(wires, 1)
        if all(chosen.op == "placeholder" for chosen in several):
            raise ModelRefused("no-layer", "the module's result is not its last layer: it is the input itself")
        return self._build.plan(result, final)

    def _place_inputs(self) -> None:
        signature, state = self._program.graph_signature, self._program.state_dict
        own = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        lifted = signature.inputs_to_lifted_tensor_constants
        for node in self._program.graph.nodes:
            if node.op != "placeholder":
                continue
            if node.name in signature.user_inputs:
                shape = tuple(node.meta["val"].shape)
                self._values[node] = Wire(0, shape)
            elif node.name in lifted:
                self._values[node] = self._program.constants[lifted[node.name]]
            else:
                target = own[node.name]
                self._values[node] = state[target] if target in state else self._program.constants[target]

    def _step(self, node: fx.Node) -> Any:
        flat, spec = pytree.tree_flatten((node.args, dict(node.kwargs)))
        flat = [self._values[each] if isinstance(each, fx.Node) else each for each in flat]
        arguments, options = pytree.tree_unflatten(flat, spec)
        if node.target is operator.getitem:
            return arguments[0] if arguments[0] is _UNKNOWN else arguments[0][arguments[1]]
        name = _operator(node)
        if any(isinstance(each, operators.NoIndices) for each in flat):
            return self._refuse(node, name, "the places of maxima are not computed")
        if any(each is _UNKNOWN for each in flat):
            return _UNKNOWN if self._known(name) else self._refuse(node, name, "")
        if not any(isinstance(each, Wire) for each in flat):
            return self._constant(node, name, arguments, options)
        try:
            return self._layer(node, name, arguments, options)
        except ModelRefused as error:
            return self._refuse(node, name, str(error))

    def _constant(self, node: fx.Node, name: str, arguments: Any, options: Any) -> Any:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not (name == "dropout" and arguments[2] is False):
            return self._refuse(node, name, "it is drawn at random")
        run: Any = node.target
        return run(*arguments, **options)

    def _layer(self, node: fx.Node, name: str, arguments: Any, options: Any) -> Any:
        name = name[:-1] if name.endswith("_") and not name.startswith("_") else name
        if name in ("dropout", "feature_dropout", "alpha_dropout") and arguments[2]:
            raise ModelRefused("dropout-on", "dropout is on in evaluation mode: pass training=self.training")
        if name in SAME:
            return arguments[0]
        if name in ("to", "_to_copy", "type_as", "float", "double"):
            kind = node.meta["val"].dtype
            if not kind.is_floating_point:
                raise ModelRefused("random-numbers", f"numbers made to {kind}")
            return arguments[0]
        outputs = _shapes(node.meta["val"])
        source = node.args[0] if node.args else None
        sole = isinstance(source, fx.Node) and len(source.users) == 1
        call = Call(self._build, outputs, sole)
        if name in MOVES:
            first, *rest = arguments
            rest = [each if not isinstance(each, Wire) else self._build.numbered(each) for each in rest]
            run: Any = node.target
            return operators.moved(call, run, operators.wire(first), *rest, **options)
        handler = HANDLERS.get(name)
        if handler is None:
            raise ModelRefused("no-such-operator", "")
        polynomial = self._polynomials.of(name, arguments, options)
        if polynomial and polynomial.polynomial.degree() > 1:
            return self._polynomials.evaluated(polynomial)
        try:
            result = handler(call, *arguments, **_named(options))
            return self._polynomials.note(result, polynomial) if polynomial else result
        except (TypeError, NotImplementedError) as error:
            raise ModelRefused("not-supported", f"this variant is not supported ({_first_line(error)})") from None
        except RuntimeError as error:
            raise ModelRefused("not-supported", _first_line(error)) from None

    def _known(self, name: str) -> bool:
        return name.rstrip("_") in HANDLERS or name in HANDLERS or name in MOVES or name in SAME or name == "to"

    def _refuse(self, node: fx.Node, name: str, why: str) -> _Unknown:
        instead = INSTEAD.get(name, "it has no private counterpart")
        said = f"'{_place(node)}' ({name}) cannot be evaluated privately: {why or instead}"
        self._refused[said.replace("\n", " ")] = None
        return _UNKNOWN


def _named(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in ("dtype", "layout", "device", "pin_memory")}


def _shapes(value: Any) -> tuple[Shape, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(shape for each in value for shape in _shapes(each))
    return (tuple(value.shape),) if isinstance(value, torch.Tensor) else ((),)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found, waiting = {node}, [node]
    while waiting:
        for source in waiting.pop().all_input_nodes:
            if source not in found:
                found.add(source)
                waiting.append(source)
    return found


def _last_layer(node: fx.Node) -> tuple[fx.Node, Final, bool]:
    """The logits, what comes after them and changes no class, and whether they stand in more axes than one row."""
    last: Any = node
    while _operator(last) in ("squeeze", "view", "reshape", "flatten", "contiguous") and len(last.args[0].users) == 1:
        last = last.args[0]
    name = _operator(last)
    arguments: list[Any] = [*last.args, None, None]
    source, axis = arguments[0], arguments[1]
    if not isinstance(source, fx.Node) or name not in get_args(Final) or "val" not in source.meta:
        return node, "none", False
    shape = tuple(source.meta["val"].shape)
    row = len(shape) > 1 and math.prod(shape) == shape[-1] and len(node.meta["val"].shape) == 2
    if not row or ("softmax" in name and axis % len(shape) != len(shape) - 1):
        return node, "none", False
    found: dict[str, Final] = {final: final for final in get_args(Final)}
    return source, found[name], len(shape) > 2


def _place(node: fx.Node) -> str:
    """The module that a step belongs to, as its owner named it, and the line that asks for it."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    kind = kind if isinstance(kind, str) else kind.__qualname__
    own = f"{path or 'the module itself'}: {kind.rpartition('.')[2]}"
    lines = (node.meta.get("stack_trace") or "").strip().splitlines()
    asked = lines[-1].strip() if lines and not lines[-1].lstrip().startswith(("File", "^")) else ""
    return f"{own}, {asked}" if asked and len(asked) < 80 else own


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
