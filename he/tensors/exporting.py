"""From any PyTorch module to a :class:`sotto.he.tensors.tensor_network.TensorNetwork`: affine maps are measured,
polynomials read.

The module's graph comes from ``torch.fx``, or where that cannot follow its Python, from ``torch.export``.  Element-wise
arithmetic of a value with itself and with numbers (squares, powers, Horner schemes,
:class:`sotto.models.networks.polynomial.PolynomialReLU`) is tracked as a polynomial; it becomes an activation where
something else takes it.  Every other step must be affine in the values before it, whatever it is called: convolutions,
means, average pooling, linear layers, batch norms, sums, reshapes, dropout in evaluation mode.  That is tested on
disordered values, small and large, step by step, so that one which is not is refused by name.  Then the affine map
between activations is read off by sending every unit vector through it, and at the end the network is compared with the
module.
"""

from __future__ import annotations

import copy
import math
import operator
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.polynomial import Polynomial
from scipy.sparse import csc_array, csr_array, hstack
from torch import Tensor, fx, nn

from sotto.he.network.network import Floats, ModelRefused
from sotto.he.tensors.substitutes import substitute
from sotto.he.tensors.tensor_network import Shape, Stage, TensorNetwork
from sotto.models.networks.polynomial import PolynomialReLU

MAX_ELEMENTS = 1 << 15  # of one example of any tensor on the way: what the largest ring holds
_BATCH = 64
_LARGEST_DEGREE = 6
_ZERO = 1e-12  # of the largest entry: what differences of rounded results may leave
_TOLERANCE = 1e-6

_tracing = threading.RLock()  # while torch.fx traces, it changes what calling any module means, in every thread

#: The steps that may keep a value a polynomial of another, by the names torch.fx, torch.export and methods give them.
_ARITHMETIC = {"add", "sub", "mul", "truediv", "div", "neg", "square", "pow"}
_IN_PLACE: dict[Any, Any] = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}


def export(module: nn.Module, shape: Shape) -> TensorNetwork:
    """The network that ``module`` computes in evaluation mode for examples of ``shape``.

    Raises
    ------
    ModelRefused
        with one line that names the step that cannot be evaluated under encryption.
    """
    if not shape or not all(isinstance(length, int) and length > 0 for length in shape):
        raise ModelRefused("bad-shape", f"the shape of one example is a tuple of positive integers, not {shape!r}")
    with _tracing, torch.no_grad():
        copied = copy.deepcopy(module).cpu().double().eval()
        walk = _Walk(_graph(copied, shape), shape)
        network = walk.run()
        _require_same(copied, network)
    return network


class _Tracer(fx.Tracer):
    """Keeps activations whole."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, PolynomialReLU) or super().is_leaf_module(m, module_qualified_name)


def _graph(module: nn.Module, shape: Shape) -> fx.GraphModule:
    tracer = _Tracer()
    root = nn.Sequential(module) if tracer.is_leaf_module(module, "") else module
    try:
        graph = fx.GraphModule(root, tracer.trace(root))
    except Exception:  # tracing runs the module's own Python, which may raise anything
        try:
            exported = torch.export.export(module, (torch.zeros(_BATCH, *shape, dtype=torch.float64),))
            graph = exported.module(check_guards=False)
        except Exception as error:
            raise ModelRefused(
                "cannot-export",
                f"{type(module).__name__} cannot be exported ({_first_line(error)}): write it without branches that"
                " depend on values",
            ) from None
    if sum(node.op == "placeholder" for node in graph.graph.nodes) != 1:
        raise ModelRefused("many-inputs", f"{type(module).__name__} takes more than one input")
    return graph


@dataclass(frozen=True, eq=False)
class _Elementwise:
    """A value that is ``polynomial`` of each element of the affine value ``base``."""

    base: fx.Node
    polynomial: Polynomial


class _Walk(fx.Interpreter):
    """One pass over the graph in order.

    ``_known``: for each node that depends on the input what it is.  ``_cuts``: the input and the activations, in order.
    ``env``: each node's values on a few examples, of which rows are sums and multiples of one another.
    """

    def __init__(self, graph: fx.GraphModule, shape: Shape) -> None:
        super().__init__(graph)
        self._shape = shape
        self._nodes = list(graph.graph.nodes)
        self._known: dict[fx.Node, _Elementwise] = {}
        self._cuts: dict[fx.Node, Shape] = {}
        self._stages: list[Stage] = []

    def run(self) -> TensorNetwork:  # type: ignore[override]
        for node in self._nodes:
            if node.op == "output":
                return self._finished(node)
            if node.op == "placeholder":
                self._cut(node, self._shape)
            elif self._depends(node):
                self._step(node)
            else:
                self.env[node] = self._run(node, self.env)
        raise ModelRefused("no-output", "the module returns nothing")

    def _finished(self, node: fx.Node) -> TensorNetwork:
        result = node.args[0]
        while isinstance(result, tuple | list) and len(result) == 1:
            result = result[0]
        if not isinstance(result, fx.Node) or result not in self._known:
            raise ModelRefused(
                "not-logits", "the module returns something other than one tensor of logits that depend on its input"
            )
        self._materialise(result)
        shape = self._shape_of(result)
        if len(shape) != 1:
            raise ModelRefused(
                "wrong-axes",
                f"the module returns {shape} for one example; logits are of one axis: average over time, or flatten, "
                "before its last layer",
            )
        self._stages.append(self._stage(result, shape, None))
        return TensorNetwork(self._shape, tuple(self._stages))

    def _depends(self, node: fx.Node) -> bool:
        return any(parent in self._known for parent in node.all_input_nodes)

    def _step(self, node: fx.Node) -> None:
        found = self._polynomial(node)
        if found is not None:
            if found.polynomial.degree() > _LARGEST_DEGREE:
                raise ModelRefused(
                    "bad-degree",
                    f"{self._name(node)} makes a polynomial of degree {found.polynomial.degree()}: fit one of degree 2,"
                    " 4 or 6 in its place (models.networks.polynomial.fit_relu shows how)",
                )
            self._known[node] = found
            base = self.env[found.base].numpy()
            self.env[node] = torch.from_numpy(np.asarray(found.polynomial(base)))
            return
        value = self.env[node] = self._run(node, self.env)
        if not any(_varies(part) for part in _parts(value)):
            return  # a shape, or a number spread over one
        for parent in node.all_input_nodes:
            if parent in self._known:
                self._materialise(parent)
        value = self.env[node] = self._run(node, self.env)
        self._require_affine(node, value)
        self._known[node] = _Elementwise(node, Polynomial([0.0, 1.0]))

    def _polynomial(self, node: fx.Node) -> _Elementwise | None:
        """What the node is, when it is arithmetic that keeps a polynomial one."""
        if node.kwargs:
            return None
        if node.op == "call_module":
            inner = self.fetch_attr(str(node.target))
            if not isinstance(inner, PolynomialReLU):
                return None
            x = self._known[node.args[0]]  # type: ignore[index]
            if x.polynomial.degree() > 1:
                self._materialise(node.args[0])
                x = _Elementwise(node.args[0], Polynomial([0.0, 1.0]))  # type: ignore[arg-type]
            return _Elementwise(x.base, Polynomial(inner.coefficients.double().numpy())(x.polynomial))
        name = _operation(node)
        if name not in _ARITHMETIC:
            return None
        operands = [self._operand(argument) for argument in node.args]
        bases = {operand.base for operand in operands if isinstance(operand, _Elementwise)}
        if None in operands or len(bases) != 1:
            return None
        polynomials = [o.polynomial if isinstance(o, _Elementwise) else o for o in operands]
        result = _applied(name, polynomials)
        return None if result is None else _Elementwise(bases.pop(), result)

    def _operand(self, argument: Any) -> _Elementwise | float | None:
        """A polynomial, a number, or None for anything else."""
        if isinstance(argument, fx.Node) and argument in self._known:
            known = self._known[argument]
            return known if isinstance(self.env[argument], Tensor) else None
        value = self.env[argument] if isinstance(argument, fx.Node) else argument
        if isinstance(value, Tensor):
            flat = value.reshape(-1)
            uniform = len(flat) > 0 and value.dtype.is_floating_point and bool((flat == flat[0]).all())
            return float(flat[0]) if uniform else None
        return float(value) if isinstance(value, int | float) else None

    def _materialise(self, node: Any) -> None:
        """What takes this node next takes it as a value: a polynomial becomes an activation."""
        found = self._known[node]
        if node in self._cuts or found.base is node:
            return
        polynomial = found.polynomial.trim(1e-300)
        if polynomial.degree() > 1:
            shape = self._shape_of(node)
            coefficients = tuple(float(c) for c in polynomial.coef)
            self._stages.append(self._stage(found.base, self._shape_of(found.base), coefficients))
            self._cut(node, shape)
        self._known[node] = _Elementwise(node, Polynomial([0.0, 1.0]))

    def _cut(self, node: fx.Node, shape: Shape) -> None:
        if math.prod(shape) > MAX_ELEMENTS:
            advice = "use fewer channels or larger strides before it"
            if node.op == "placeholder":
                advice = "ask about fewer, features in place of samples, a lower rate or a shorter clip"
            raise ModelRefused(
                "too-many-values",
                f"{'an example' if node.op == 'placeholder' else self._name(node)} has {'x'.join(map(str, shape))} ="
                f" {math.prod(shape)} values, the largest ciphertext holds {MAX_ELEMENTS}: {advice}",
            )
        self._cuts[node] = shape
        self._known[node] = _Elementwise(node, Polynomial([0.0, 1.0]))
        u, v = _scattered(2, shape)
        rows = [torch.zeros_like(u), u, v, u + v, 3 * u - 2 * v, -u, 1e3 * u, 1e-3 * v]
        self.env[node] = torch.stack(rows + [rows[0]] * (_BATCH - len(rows)))

    def _require_affine(self, node: fx.Node, value: Any) -> None:
        for part in _parts(value):
            if not isinstance(part, Tensor):
                continue
            if part.ndim == 0 or part.shape[0] != _BATCH or not part.dtype.is_floating_point:
                raise ModelRefused(
                    "mixes-batch", f"{self._name(node)} mixes the examples of a batch, or numbers that are not real"
                )
            x = part[:8] - part[:1]
            # An overflow or a NaN compares as false and is refused like the rest.
            sums = [x[3] - x[1] - x[2], x[4] - 3 * x[1] + 2 * x[2], x[5] + x[1], x[6] / 1e3 - x[1], x[7] * 1e3 - x[2]]
            size = max(1.0, float(x[:6].abs().max()), float(part[0].abs().max()))
            if not all(float(difference.abs().max()) <= _TOLERANCE * size for difference in sums):
                raise ModelRefused(
                    "not-polynomial",
                    f"{self._name(node)} is neither affine nor a polynomial of one value, and ciphertexts can only be"
                    f" added and multiplied: put {substitute(self._kind(node))} in its place, or use mpc",
                )

    def _stage(self, node: fx.Node, shape: Shape, polynomial: tuple[float, ...] | None) -> Stage:
        """The affine map from the cuts to ``node``, read off by sending unit vectors through it."""
        zeros = {cut: torch.zeros(_BATCH, *kept, dtype=torch.float64) for cut, kept in self._cuts.items()}
        steps = self._between(node)
        bias = self._flat(node, steps, zeros)[0]
        weights = {}
        for number, cut in enumerate(self._cuts):
            if cut is node or any(cut in step.all_input_nodes for step in steps):
                weights[number] = self._matrix(node, steps, zeros, cut, bias)
        return Stage(shape, {source: matrix for source, matrix in weights.items() if matrix.nnz}, bias, polynomial)

    def _matrix(
        self, node: fx.Node, steps: list[fx.Node], zeros: Mapping[fx.Node, Tensor], cut: fx.Node, bias: Floats
    ) -> csr_array:
        shape, size = self._cuts[cut], math.prod(self._cuts[cut])
        blocks = []
        for start in range(0, size, _BATCH):
            count = min(_BATCH, size - start)
            unit = torch.zeros(_BATCH, size, dtype=torch.float64)
            unit[torch.arange(count), torch.arange(start, start + count)] = 1
            columns = self._flat(node, steps, {**zeros, cut: unit.reshape(_BATCH, *shape)})[:count] - bias
            blocks.append(csc_array(columns.T))
        matrix = csr_array(hstack(blocks))
        matrix.data[np.abs(matrix.data) <= _ZERO * max(np.abs(matrix.data).max(initial=0.0), 1e-300)] = 0
        matrix.eliminate_zeros()
        return matrix

    def _between(self, node: fx.Node) -> list[fx.Node]:
        """The steps from the cuts to ``node``, in order."""
        needed, waiting = set(), [node]
        while waiting:
            step = waiting.pop()
            if step not in needed and step not in self._cuts and step in self._known:
                needed.add(step)
                waiting.extend(step.all_input_nodes)
        return [step for step in self._nodes if step in needed]

    def _flat(self, node: fx.Node, steps: Iterable[fx.Node], given: Mapping[fx.Node, Tensor]) -> Floats:
        env = {**self.env, **given}
        for step in steps:
            env[step] = self._run(step, env)
        return np.asarray(env[node].reshape(_BATCH, -1).numpy())

    def _run(self, node: fx.Node, env: dict[fx.Node, Any]) -> Any:
        args, kwargs = fx.node.map_arg((node.args, node.kwargs), env.__getitem__)
        target: Any = _IN_PLACE.get(node.target, node.target)
        if node.op == "call_method" and str(target).endswith("_") and not str(target).endswith("__"):
            target = str(target).removesuffix("_")
        try:
            return getattr(self, node.op)(target, args, kwargs)
        except Exception as error:
            raise ModelRefused(
                "does-not-run", f"{self._name(node)} does not run on examples of {self._shape}: {_first_line(error)}"
            ) from None

    def _shape_of(self, node: fx.Node) -> Shape:
        value = self.env[node]
        if not isinstance(value, Tensor):
            raise ModelRefused("many-tensors", f"{self._name(node)} gives more than one tensor where one is needed")
        return tuple(value.shape[1:])

    def _kind(self, node: fx.Node) -> str:
        return type(self.fetch_attr(str(node.target))).__name__ if node.op == "call_module" else _operation(node)

    def _name(self, node: fx.Node) -> str:
        if node.op == "call_module":
            return f"layer '{node.target}' ({self._kind(node)})"
        return f"step '{node.name}' ({self._kind(node)})"


def _applied(name: str, x: list[Any]) -> Polynomial | None:
    """The arithmetic over polynomials and numbers; None for what it is not."""
    one, two = x[0], x[1] if len(x) == 2 else None
    if len(x) == 1 and name in ("neg", "square"):
        return -one if name == "neg" else one**2
    if two is None or len(x) > 2:
        return None
    if name == "pow":
        whole = isinstance(two, float) and two.is_integer() and 1 <= two <= _LARGEST_DEGREE
        return one ** int(two) if whole and isinstance(one, Polynomial) else None
    if name in ("truediv", "div"):
        return one / two if isinstance(two, float) and two else None
    return {"add": operator.add, "sub": operator.sub, "mul": operator.mul}[name](one, two)


def _operation(node: fx.Node) -> str:
    if node.op == "call_method":
        return str(node.target).strip("_")
    if isinstance(node.target, torch._ops.OpOverload):
        return str(node.target.overloadpacket.__name__).rstrip("_")
    name = str(getattr(node.target, "__name__", node.target))
    return {"iadd": "add", "isub": "sub", "imul": "mul"}.get(name, name)


def _parts(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _scattered(count: int, shape: Shape) -> Tensor:
    """Values (count, *shape) in [-2, 2] without order; nothing secret, and the same every time."""
    places = torch.arange(1.0, 1 + count * math.prod(shape), dtype=torch.float64)
    return (2 * torch.sin(places**2 * 0.7390851)).reshape(count, *shape)


def _varies(part: Any) -> bool:
    """Whether it is a tensor that differs from example to example."""
    return isinstance(part, Tensor) and not (part.ndim and bool((part == part[:1]).all()))


def _require_same(module: nn.Module, network: TensorNetwork) -> None:
    """Compare both on one batch: a step that writes into its input, say, is traced but not measured."""
    features = _scattered(_BATCH, network.shape) / 2
    expected = module(features).numpy()
    found = network.logits(features.numpy())
    tolerated = _TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not np.abs(found - expected).max() <= tolerated:
        if not np.abs(module(features[:2]).numpy() - expected[:2]).max() <= tolerated:
            raise ModelRefused(
                "mixes-batch",
                f"what {type(module).__name__} answers about one example depends on the others in its batch:"
                " use batch norm with running statistics",
            )
        raise ModelRefused(
            "other-function", "the module does not compute what its steps say: replace steps that change their input"
        )


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return (text.splitlines()[0] if text else type(error).__name__)[:200]
