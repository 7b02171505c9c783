"""Mode ``packed``: one query in one ciphertext, by hand on SEAL's own operations.

What costs time is switching keys, so there are few rotations (:mod:`sotto.he.network.packing`), few primes
(:mod:`sotto.he.planning.scheduling`) and only the keys that are used; weights are encoded once, when the model is
loaded.
"""

from __future__ import annotations

from sotto.he.evaluation.ciphertexts import CiphertextMachine, Encoded
from sotto.he.evaluation.evaluation_keys import load_keys
from sotto.he.network.program import run
from sotto.he.planning.flooding import Flood
from sotto.he.planning.scheduling import ScaledPlan
from sotto.he.sealing import dumped, load_ciphertext
from sotto.he.wire import VERSION, PackedDescription
from sotto.link import FrameError


class PackedModel:
    """A model loaded for the packed evaluator, without anybody's keys."""

    def __init__(self, plan: ScaledPlan, inputs: int, classes: int, *, flooded: bool = False) -> None:
        packing, schedule = plan.packing, plan.schedule
        if packing is None:
            raise ValueError("the packed evaluator needs a plan with a packing")
        self.plan = plan
        self.flooded = flooded
        self.encoded = Encoded(schedule, lambda machine: run(machine, plan.layers, plan.circuit.activations, None))
        self.steps = packing.steps
        self.query_bytes = schedule.modulus.ciphertext_bytes(schedule.modulus.top)
        self.key_bytes = schedule.modulus.key_bytes(len(self.steps) + 1)
        self.description = PackedDescription(
            version=VERSION,
            inputs=inputs,
            classes=classes,
            ring_degree=schedule.modulus.ring_degree,
            chain=schedule.modulus.chain,
            input_bits=schedule.input_bits,
            answer_primes=schedule.answer_primes,
            answer_scale=plan.answer_scale,
            steps=self.steps,
            block=packing.layout.block,
            interleaved=packing.layout.interleaved,
            pairs=packing.layout.pairs,
            period=packing.period,
            paired=packing.paired,
            flooded=flooded,
            proved=plan.proved,
            logit_bound=plan.logit_bound,
        )

    def open(self, material: bytes) -> PackedEvaluator:
        """A session with Alice's keys; :class:`sotto.link.FrameError` for keys that do not fit."""
        return PackedEvaluator(self, material)


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
            answer = run(self._machine, plan.layers, plan.circuit.activations, [query])
            if self._flood is not None:
                answer = self._flood(answer)
        except (ValueError, RuntimeError) as error:  # what only shows when it is computed with
            raise FrameError(f"Alice's ciphertext cannot be evaluated ({error})") from None
        return [dumped(found) for found in answer.payload]
