"""Cheats in well-formed messages: a party that says, or puts in, something else than was agreed on.

Where :mod:`sotto.mpc.attacks.cheats` alters a message on its way, here the cheater's own program starts from something
else:

    bob:classes         plans a logit more than he agreed to       bob:limit     plans another input limit
    bob:ranges          declares ranges that are too small         bob:layers    adds a layer to his plan
    bob:weights         puts in other weights                      alice:out-of-range   features beyond the limit

The first four contradict what was agreed on, and Alice refuses them before anything depends on her features (mode
``crypten`` declares no ranges).  The last two are inputs: no protocol can tell a party that chooses its input from an
honest one, and they are reported as allowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.mpc import alice as alice_module
from sotto.mpc.bob import Bob
from sotto.mpc.graph.layers import Linear
from sotto.mpc.graph.plan import ModelPlan, Ranges
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.messages import RangesMessage

#: every meaning that can be cheated with, as PARTY:MEANING, and what is done
MEANINGS = {
    "bob:classes": "a logit more than was agreed on",
    "bob:limit": "half the input limit that was agreed on",
    "bob:ranges": "every range a sixteenth of the one that was agreed on",
    "bob:layers": "a layer more than was agreed on",
    "bob:weights": "the negatives of its weights, under the ranges that were agreed on",
    "alice:out-of-range": "features at four times the limit",
}
CHOICES_OF_INPUT = frozenset({"bob:weights", "alice:out-of-range"})


@contextmanager
def meant(meaning: str, bob: Bob | None = None) -> Iterator[None]:
    """In this process the party starts from something else; ``bob`` is his door, where he is the cheater."""
    with ExitStack() as stack:
        if meaning == "alice:out-of-range":
            stack.enter_context(patch.object(alice_module, "checked_features", _beyond))
        elif bob is not None:
            ranges = _other_network(meaning, bob)
            if bob._mode != "crypten":
                told = RangesMessage(ranges or value_ranges(bob._plan, bob._weights))
                stack.enter_context(patch.object(bob, "_told", lambda reveal: told))
        yield


def _beyond(features: npt.ArrayLike, plan: ModelPlan) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    values = np.asarray(features, np.float32)
    return values * np.float32(4 * plan.input_limit / max(float(np.abs(values).max()), 1e-3)), ()


def _other_network(meaning: str, bob: Bob) -> Ranges | None:
    """Change the network in ``bob``'s door; the ranges he then declares, None for the true ones."""
    plan, classes, last = bob._plan, bob._plan.classes, len(bob._plan.layers)
    masked = bob._mode != "crypten"
    match meaning:
        case "bob:classes" | "bob:layers":
            outputs = classes + (meaning == "bob:classes")
            layer = Linear(source=last, inputs=classes, outputs=outputs, bias=False)
            bob._plan = msgspec.structs.replace(plan, layers=(*plan.layers, layer))
            bob._weights = bob._weights | {last: {"weight": np.eye(outputs, classes, dtype=np.float32)}}
        case "bob:limit":
            bob._plan = msgspec.structs.replace(plan, input_limit=plan.input_limit / 2)
        case "bob:ranges" if masked:
            first, *rest = bob.terms().ranges
            return (first, *(max(-16, bits - 4) for bits in rest))
        case "bob:weights":
            ranges = bob.terms().ranges if masked else None
            bob._weights = {
                number: {name: -tensor for name, tensor in tensors.items()} for number, tensors in bob._weights.items()
            }
            return ranges
    return None
