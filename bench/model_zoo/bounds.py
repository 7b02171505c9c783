"""``python -m sotto.bench.model_zoo.bounds``: what is proven of the values of each kind of network, as a table."""

from __future__ import annotations

from collections.abc import Iterable

from sotto import mpc
from sotto.bench.model_zoo import KINDS
from sotto.mpc.graph.bounds.error_bound import Unproven, proven_error
from sotto.mpc.graph.plan import ModelPlan, Weights
from sotto.mpc.lowering.capture import trace

_LIMIT = 8.0


def table(names: Iterable[str] = KINDS) -> str:
    """Markdown, a line for each network: how far a score can be off, which functions are approximated within a bound of
    their own, and why a score has none."""
    lines = ["| network | a score is within | approximated, each within its own bound |", "| --- | --- | --- |"]
    for name in names:
        kind = KINDS[name]
        plan, weights = trace(kind.build(), kind.input_shape, input_limit=_LIMIT)
        functions = dict.fromkeys(each.function for each in mpc.function_bounds(plan))
        lines.append(f"| `{name}` | {_bound(plan, weights)} | {', '.join(functions) or 'nothing'} |")
    return "\n".join(lines)


def _bound(plan: ModelPlan, weights: Weights) -> str:
    try:
        return f"{proven_error(plan, weights):.2g}"
    except Unproven as reason:
        return f"nothing proven: {reason}"


if __name__ == "__main__":
    print(table())
