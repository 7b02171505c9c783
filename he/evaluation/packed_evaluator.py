"""Mode ``packed``: one query in one ciphertext, by hand on SEAL's own operations.

What costs time is switching keys, so there are few rotations (:mod:`sotto.he.network.packing`,
:mod:`sotto.he.tensors.tensor_packing`), few primes (:mod:`sotto.he.planning.scheduling`,
:mod:`sotto.he.tensors.tensor_scheduling`) and only the keys that are used; weights are encoded once, when the model is
loaded.
"""

from __future__ import annotations

from typing import Any

from sotto.he.evaluation.ciphertexts import CiphertextMachine, Encoded
from sotto.he.evaluation.evaluation_keys import load_keys
from sotto.he.messages import VERSION, PackedDescription, TensorDescription
from sotto.he.planning.flooding import Flood
from sotto.he.planning.memory import MEMORY_LIMIT
from sotto.he.planning.scheduling import ScaledPlan
from sotto.he.sealing import dumped, load_ciphertext
from sotto.he.tensors.tensor_packing import TensorPacking
from sotto.he.tensors.tensor_scheduling import TensorPlan
from sotto.link import FrameError


class PackedModel:
    """A model loaded for the packed evaluator, without anybody's keys."""

    def __init__(
        self,
        plan: ScaledPlan | TensorPlan,
        inputs: int,
        classes: int,
        *,
        flooded: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        if plan.packing is None:
            raise ValueError("the packed evaluator needs a plan with a packing")
        modulus = plan.schedule.modulus
        self.plan = plan
        self.flooded = flooded
        self.steps = plan.packing.steps
        self.encoded = Encoded(
            plan.schedule,
            lambda machine: plan.run(machine, None),
            switching_keys=len(self.steps) + 1,
            memory_limit=memory_limit,
        )
        self.query_bytes = modulus.ciphertext_bytes(modulus.top)
        self.key_bytes = modulus.key_bytes(len(self.steps) + 1)
        self.description = _described(plan, inputs, classes, flooded)

    def open(self, material: bytes) -> PackedEvaluator:
        """A session with Alice's keys; :class:`sotto.link.FrameError` for keys that do not fit."""
        return PackedEvaluator(self, material)


def _described(
    plan: ScaledPlan | TensorPlan, inputs: int, classes: int, flooded: bool
) -> PackedDescription | TensorDescription:
    """What Alice is told about a plan."""
    packing, schedule = plan.packing, plan.schedule
    if packing is None:
        raise ValueError("the packed evaluator needs a plan with a packing")
    shared: dict[str, Any] = {
        "version": VERSION,
        "classes": classes,
        "ring_degree": schedule.modulus.ring_degree,
        "chain": schedule.modulus.chain,
        "input_bits": schedule.input_bits,
        "answer_primes": schedule.answer_primes,
        "answer_scale": plan.answer_scale,
        "steps": packing.steps,
        "period": packing.period,
        "paired": packing.paired,
        "flooded": flooded,
        "proved": plan.proved,
        "logit_bound": plan.logit_bound,
    }
    if isinstance(packing, TensorPacking):
        grid = packing.grid
        return TensorDescription(
            **shared,
            shape=grid.shape,
            strides=grid.strides,
            split=grid.split,
            inner=grid.inner,
            overlap=grid.overlap,
            repeat=grid.period,
        )
    layout = packing.layout
    return PackedDescription(
        **shared, inputs=inputs, block=layout.block, interleaved=layout.interleaved, pairs=layout.pairs
    )


class PackedEvaluator:
    """Bob's evaluation of one model with one session's keys."""

    pending = False

    def __init__(self, model: PackedModel, material: bytes) -> None:
        schedule = model.plan.schedule
        keys, public = load_keys(schedule.modulus, material, model.steps, public_key=model.flooded)
        self._plan = model.plan
        self._machine = CiphertextMachine(schedule, model.encoded, keys)
        self._flood = None if public is None else Flood(schedule, public)

    def take(self, ciphertext: bytes) -> list[bytes]:
        """The encrypted logits for one encrypted feature vector; :class:`sotto.link.FrameError` for a malformed one."""
        plan, schedule = self._plan, self._plan.schedule
        query = load_ciphertext(
            self._machine.context, ciphertext, level=schedule.modulus.top, scale=2.0**schedule.input_bits
        )
        try:
            answer = plan.run(self._machine, [query])
            if self._flood is not None:
                answer = self._flood(answer)
        except (ValueError, RuntimeError) as error:  # what only shows when it is computed with
            raise FrameError("not-evaluable", f"Alice's ciphertext cannot be evaluated ({error})") from None
        return [dumped(found) for found in answer.payload]
