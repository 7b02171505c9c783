"""Mode ``batched``: many queries at once, one ciphertext for each feature, slot k of each for query k.

No rotations at all: a layer is weighted sums of ciphertexts, an activation one product for each unit.  One pass costs
seconds and answers up to N/2 queries.
"""

from __future__ import annotations

from collections.abc import Sequence

import tenseal.sealapi as seal

from sotto.he.evaluation.ciphertexts import CiphertextMachine, Encoded
from sotto.he.evaluation.evaluation_keys import load_keys
from sotto.he.messages import VERSION, BatchedDescription
from sotto.he.network.program import run
from sotto.he.planning.flooding import Flood
from sotto.he.planning.memory import MEMORY_LIMIT
from sotto.he.planning.scheduling import ScaledPlan
from sotto.he.sealing import dumped, load_ciphertext
from sotto.link import FrameError


class BatchedModel:
    """A model loaded for the batched evaluator, without anybody's keys."""

    def __init__(
        self,
        plan: ScaledPlan,
        inputs: int,
        classes: int,
        *,
        flooded: bool = False,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        schedule = plan.schedule
        self.plan = plan
        self.inputs = inputs
        self.flooded = flooded
        self.encoded = Encoded(
            schedule,
            lambda machine: run(machine, plan.layers, plan.circuit.activations, None),
            switching_keys=1,
            ciphertexts=inputs + max(weight.shape[0] for weight in plan.circuit.weights),
            memory_limit=memory_limit,
        )
        self.query_bytes = schedule.modulus.ciphertext_bytes(schedule.modulus.top)
        self.key_bytes = schedule.modulus.key_bytes(1)
        self.description = BatchedDescription(
            version=VERSION,
            inputs=inputs,
            classes=classes,
            ring_degree=schedule.modulus.ring_degree,
            chain=schedule.modulus.chain,
            input_bits=schedule.input_bits,
            answer_primes=schedule.answer_primes,
            answer_scale=plan.answer_scale,
            flooded=flooded,
            proved=plan.proved,
            logit_bound=plan.logit_bound,
        )

    def open(self, material: bytes) -> BatchedEvaluator:
        """A session with Alice's keys; :class:`sotto.link.FrameError` for keys that do not fit."""
        return BatchedEvaluator(self, material)


class BatchedEvaluator:
    """Bob's evaluation of one model with one session's keys."""

    def __init__(self, model: BatchedModel, material: bytes) -> None:
        schedule = model.plan.schedule
        keys, public = load_keys(schedule.modulus, material, (), public_key=model.flooded)
        self._plan = model.plan
        self._inputs = model.inputs
        self._machine = CiphertextMachine(schedule, model.encoded, keys)
        self._flood = None if public is None else Flood(schedule, public)
        self._columns: list[seal.Ciphertext] = []

    @property
    def pending(self) -> bool:
        """Whether a batch has begun of which features are still missing."""
        return bool(self._columns)

    def take(self, ciphertext: bytes) -> list[bytes]:
        """One feature of a batch; with the last, the encrypted logits, one ciphertext for each class.

        Raises
        ------
        FrameError
            a malformed ciphertext; the batch is forgotten.
        """
        schedule = self._plan.schedule
        self._columns.append(
            load_ciphertext(
                self._machine.context, ciphertext, level=schedule.modulus.top, scale=2.0**schedule.input_bits
            )
        )
        if len(self._columns) < self._inputs:
            return []
        columns, self._columns = self._columns, []
        return self._evaluated(columns)

    def _evaluated(self, columns: Sequence[seal.Ciphertext]) -> list[bytes]:
        plan = self._plan
        try:
            answer = run(self._machine, plan.layers, plan.circuit.activations, list(columns))
            if self._flood is not None:
                answer = self._flood(answer)
        except (ValueError, RuntimeError) as error:  # what only shows when it is computed with
            raise FrameError("not-evaluable", f"Alice's ciphertexts cannot be evaluated ({error})") from None
        return [dumped(found) for found in answer.payload]
