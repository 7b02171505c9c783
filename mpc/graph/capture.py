"""From a PyTorch module to a public plan and Bob's weights, by walking the module with ``torch.fx``.  No ONNX.

The module is traced in evaluation mode and run on zeros with batches of two and of three examples, so every
step's shape is known and a step that mixes examples is found out.  Dropout disappears; a batch norm folds into
the convolution or linear layer before it, exactly; flatten, view, squeeze and unsqueeze become one reshape.
Whatever has no entry in :mod:`sotto.mpc.graph.operators` is refused by name.  Only shapes go into the plan; the tensors
go into ``Weights`` and stay with Bob.  At the end the plan is computed in clear and compared with the module.
"""

from __future__ import annotations

import copy
import math
import threading
from typing import Any

import msgspec
import numpy as np
import torch
from torch import fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from sotto.mpc.errors import ModelRefused, PlanError
from sotto.mpc.graph import plan as layers
from sotto.mpc.graph.operators import (
    FUNCTIONS,
    MATRIX_PRODUCTS,
    METHODS,
    MODULES,
    PASS_THROUGH,
    SHAPE_ARITHMETIC,
    Call,
    supported,
)
from sotto.mpc.graph.plain import evaluate
from sotto.mpc.graph.plan import ModelPlan, Shape, Weights

_BATCHES = (2, 3)

#: While torch.fx traces, it changes what calling any module means, in every thread.  Hold this to trace or to call one.
tracing = threading.RLock()


def trace(module: nn.Module, input_shape: Shape, *, input_limit: float) -> tuple[ModelPlan, Weights]:
    """The plan of ``module`` for examples of ``input_shape``, and its float32 tensors by layer number.

    Raises :class:`ModelRefused` with one line that names the part that cannot be evaluated privately.
    """
    with tracing:
        return _trace(module, input_shape, input_limit)


def _trace(module: nn.Module, input_shape: Shape, input_limit: float) -> tuple[ModelPlan, Weights]:
    if not input_shape or not all(isinstance(length, int) and length > 0 for length in input_shape):
        raise ModelRefused(f"the input shape of one example is a tuple of positive integers, not {input_shape!r}")
    tracer = fx.Tracer()
    try:
        copied = copy.deepcopy(module).cpu().float().eval()
        if tracer.is_leaf_module(copied, ""):
            copied = nn.Sequential(copied)
        graph = fx.GraphModule(copied, tracer.trace(copied))
    except Exception as error:  # tracing runs the module's own Python, which may raise anything
        raise ModelRefused(f"torch.fx cannot trace {type(module).__name__}: {_first_line(error)}") from None
    inputs = sum(node.op == "placeholder" for node in graph.graph.nodes)
    if inputs != 1:
        raise ModelRefused(f"{type(module).__name__} takes {inputs} inputs; one is supported")
    walk = _Walk(graph, _shapes(graph, input_shape), input_shape)
    plan = ModelPlan(tuple(input_shape), float(input_limit), tuple(walk.run()))
    try:
        plan.shapes()
    except PlanError as error:
        raise ModelRefused(f"{type(module).__name__} gives no usable plan: {error}") from None
    for number, tensors in walk.weights.items():
        for name, tensor in tensors.items():
            if not np.isfinite(tensor).all():
                kind = type(plan.layers[number]).__name__
                raise ModelRefused(f"the {name} of layer {number} ({kind}) holds NaN or infinity")
    _require_same(copied, plan, walk.weights)
    return plan, walk.weights


def _require_same(module: nn.Module, plan: ModelPlan, weights: Weights) -> None:
    """Compare plan and module on one batch: a step that writes into its input, say, is traced but not planned."""
    count = _BATCHES[0] * math.prod(plan.input_shape)
    features = torch.sin(torch.arange(1.0, count + 1)).reshape(_BATCHES[0], *plan.input_shape)
    planned = evaluate(plan, weights, features)
    with torch.no_grad():
        expected = module(features).numpy()
    tolerance = 1e-3 * float(np.abs(expected).max(initial=1e-3))
    if not np.allclose(planned, expected, rtol=1e-3, atol=tolerance):
        raise ModelRefused("the module does not compute what its layers say: replace steps that change their input")


class _Shapes(fx.Interpreter):
    """Runs a graph and writes down the shape of every tensor on the way."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.found: dict[fx.Node, Shape | None] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        self.found[n] = tuple(result.shape) if isinstance(result, torch.Tensor) else None
        return result


def _shapes(graph: fx.GraphModule, input_shape: Shape) -> dict[fx.Node, Shape | None]:
    """Shape of one example at every node; None where the node is no tensor."""
    runs = []
    for batch in _BATCHES:
        interpreter = _Shapes(graph)
        try:
            with torch.no_grad():
                interpreter.run(torch.zeros(batch, *input_shape))
        except Exception as error:
            raise ModelRefused(f"the module does not run on shape {input_shape}: {_first_line(error)}") from None
        runs.append(interpreter.found)
    shapes: dict[fx.Node, Shape | None] = {}
    for node, first in runs[0].items():
        second = runs[1][node]
        if first is None or second is None or node.op in ("get_attr", "output"):
            shapes[node] = None
        elif first[:1] + second[:1] != _BATCHES or first[1:] != second[1:]:
            raise ModelRefused(f"'{node.name}' mixes the examples of a batch: keep the first axis as it is")
        else:
            shapes[node] = first[1:]
    return shapes


class _Walk:
    """One pass over the graph in order, collecting layers and weights."""

    def __init__(self, graph: fx.GraphModule, shapes: dict[fx.Node, Shape | None], input_shape: Shape) -> None:
        self._graph = graph
        self._shapes = shapes
        self._values: dict[fx.Node, int] = {}
        self._value_shapes: list[Shape] = [input_shape]
        self._layers: list[layers.Layer] = []
        self.weights: Weights = {}

    def run(self) -> list[layers.Layer]:
        for node in self._graph.graph.nodes:
            if node.op == "placeholder":
                self._values[node] = 0
            elif node.op == "output":
                self._finish(node)
            elif node.op == "get_attr":
                if not all(self._kind(user)[0] in MATRIX_PRODUCTS for user in node.users):
                    raise ModelRefused(f"the module uses its tensor '{node.target}' by itself; {supported()}")
            else:
                self._step(node)
        return self._layers

    def _finish(self, node: fx.Node) -> None:
        result = node.args[0]
        if not isinstance(result, fx.Node) or result not in self._values:
            raise ModelRefused("the module returns something other than one tensor of logits")
        if self._values[result] != len(self._layers) or not self._layers:
            raise ModelRefused("the module's result is not its last layer: remove the layers that come after")

    def _step(self, node: fx.Node) -> None:
        kind, name = self._kind(node)
        if kind in SHAPE_ARITHMETIC and self._shapes[node] is None:
            return
        call = Call(node, name, self._tensor, self._shape_of)
        if kind in PASS_THROUGH:
            self._values[node] = self._tensor(node.args[0], name)
            return
        if kind in (nn.BatchNorm1d, nn.BatchNorm2d):
            self._batch_norm(node, call)
            return
        if kind in MATRIX_PRODUCTS:
            self._matrix_product(node, call)
            return
        tables: dict[str, dict[Any, Any]]
        tables = {"call_module": MODULES, "call_function": FUNCTIONS, "call_method": METHODS}
        table = tables[node.op]
        if kind not in table:
            raise ModelRefused(f"'{node.name}' ({name}) cannot be evaluated privately; {supported()}")
        module = self._module(node) if node.op == "call_module" else None
        layer = table[kind](call, module) if module is not None else table[kind](call)
        if layer is None:
            self._values[node] = call.source()
            return
        if module is not None and layer.parameters:
            self.weights[len(self._layers)] = {name: _array(getattr(module, name)) for name in layer.parameters}
        self._append(node, layer)

    def _matrix_product(self, node: fx.Node, call: Call) -> None:
        """A value times a matrix of the module's own: a linear layer written out."""
        factor = node.args[1] if len(node.args) == 2 and not node.kwargs else None
        if not isinstance(factor, fx.Node) or factor.op != "get_attr":
            raise call.refused("only a value times one of the module's own matrices, x @ W, can be evaluated")
        matrix: Any = self._graph
        for part in str(factor.target).split("."):
            matrix = getattr(matrix, part)
        if matrix.dim() != 2:
            raise call.refused(f"its matrix has {matrix.dim()} axes instead of 2")
        self.weights[len(self._layers)] = {"weight": _array(matrix.T)}
        self._append(node, layers.Linear(call.source(), matrix.shape[0], matrix.shape[1], False))

    def _batch_norm(self, node: fx.Node, call: Call) -> None:
        """Fold the batch norm into the layer before it, or keep it as a scale and a shift per channel."""
        norm: Any = self._module(node)
        if norm.running_mean is None or norm.running_var is None:
            raise ModelRefused(f"'{node.name}' (BatchNorm) has no running statistics: its output depends on the batch")
        gamma = torch.ones_like(norm.running_mean) if norm.weight is None else norm.weight
        beta = torch.zeros_like(norm.running_mean) if norm.bias is None else norm.bias
        source = call.source()
        previous = self._layers[source - 1] if source else None
        only_user = len(node.args[0].users) == 1 if isinstance(node.args[0], fx.Node) else False
        vector = len(self._value_shapes[source]) == 1
        if only_user and (isinstance(previous, layers.Convolution) or (isinstance(previous, layers.Linear) and vector)):
            own = {name: torch.from_numpy(values) for name, values in self.weights[source - 1].items()}
            fuse = fuse_linear_bn_weights if isinstance(previous, layers.Linear) else fuse_conv_bn_weights
            weight, bias = fuse(
                own["weight"].double(), own["bias"].double() if "bias" in own else None,
                norm.running_mean.double(), norm.running_var.double(), norm.eps, gamma.double(), beta.double(),
            )  # fmt: skip
            self.weights[source - 1] = {"weight": _array(weight), "bias": _array(bias)}
            self._layers[source - 1] = msgspec.structs.replace(previous, bias=True)
            self._values[node] = source
            return
        scale = gamma.double() / torch.sqrt(norm.running_var.double() + norm.eps)
        shift = beta.double() - norm.running_mean.double() * scale
        self.weights[len(self._layers)] = {"scale": _array(scale), "shift": _array(shift)}
        self._append(node, layers.ChannelAffine(source, norm.num_features))

    def _append(self, node: fx.Node, layer: layers.Layer) -> None:
        shape = self._shapes[node]
        try:
            planned = layer.output([self._value_shapes[source] for source in layer.sources])
        except PlanError as error:
            raise ModelRefused(f"'{node.name}' cannot be evaluated privately: {error}") from None
        if planned != shape:
            raise ModelRefused(f"'{node.name}' gives shape {shape}, its plan {planned}: this variant is not supported")
        self._layers.append(layer)
        self._value_shapes.append(planned)
        self._values[node] = len(self._layers)

    def _kind(self, node: fx.Node) -> tuple[Any, str]:
        if node.op == "call_module":
            kind = type(self._module(node))
            return kind, kind.__name__
        if node.op == "call_method":
            return node.target, str(node.target)
        return node.target, getattr(node.target, "__name__", str(node.target))

    def _module(self, node: fx.Node) -> nn.Module:
        return self._graph.get_submodule(str(node.target))

    def _tensor(self, argument: Any, name: str) -> int:
        if not isinstance(argument, fx.Node) or argument not in self._values:
            raise ModelRefused(f"'{name}' is applied to something other than the output of a layer; {supported()}")
        return self._values[argument]

    def _shape_of(self, node: fx.Node) -> Shape:
        return self._shapes[node] or ()


def _array(tensor: torch.Tensor) -> Any:
    return tensor.detach().to(torch.float32).contiguous().numpy().astype(np.float32)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
