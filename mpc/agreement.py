"""What Alice was told of Bob's network before the session: he can then set up nothing else.

A Bob who names four classes and plans eight logits, or another limit or other ranges than he published, is refused
while the session is set up, before anything depends on her features.  That refusal says nothing of them, and no later
one exists: whatever she is answered, the session goes on.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from sotto.link import encode
from sotto.mpc.errors import PlanError
from sotto.mpc.graph.layers import Shape
from sotto.mpc.graph.plan import ModelPlan, Ranges


@dataclass(frozen=True)
class Agreement:
    """The public facts of a network; ``classes`` None: any number of logits.

    ``digest`` is :func:`digest_of` its plan and ranges, which fixes every layer, and every width of a comparison.
    ``error_bound``: what Bob proved of the largest error of a value, where he reveals values; None: nothing.
    """

    input_shape: Shape
    input_limit: float
    classes: int | None
    digest: str
    error_bound: float | None = None

    def require(self, plan: ModelPlan, ranges: Ranges) -> None:
        """Raise :class:`sotto.mpc.PlanError` unless ``plan`` and ``ranges`` are those agreed on."""
        if plan.input_shape != self.input_shape:
            raise PlanError(
                "other-shape", "bob's plan takes features of another shape than its terms: do not use this service"
            )
        if plan.input_limit != self.input_limit:
            raise PlanError("other-limit", "bob's plan has another input limit than its terms: do not use this service")
        if self.classes is not None and plan.classes != self.classes:
            raise PlanError(
                "class-count",
                f"bob's plan gives {plan.classes} logits, its terms name {self.classes} classes: "
                "do not use this service",
            )
        if digest_of(plan, ranges) != self.digest:
            raise PlanError("other-layers", "bob's layers or ranges are not those of its terms: get the terms again")

    def require_error(self, bound: float | None) -> None:
        """Raise :class:`sotto.mpc.PlanError` unless the values' error is bounded as agreed on."""
        if bound != self.error_bound:
            raise PlanError("other-bound", "bob's bound of the error is not that of its terms: get the terms again")


def digest_of(plan: ModelPlan, ranges: Ranges) -> str:
    """SHA-256 of what is public about a network, 64 hexadecimal digits.  ``ranges`` are () in mode ``crypten``."""
    return sha256(encode((plan, ranges))).hexdigest()
