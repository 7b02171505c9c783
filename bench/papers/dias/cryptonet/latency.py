"""The cryptonet's latency: three ways to evaluate it under CKKS, one after the other in one run on one thread.

``tenseal`` is what a user of TenSEAL's ``ckks_vector`` would write, ``packed`` the same network hand-packed for one
query, ``batched`` one ciphertext for each feature and thousands of queries at once.  Queries of ``packed`` and
``tenseal`` take turns, so that a moody machine is moody to both.  Times are Bob's, from the bytes of a query to those
of its answer; a network or Alice's own work is not in them.  ``server_ms`` is by the clock, ``server_busy_ms`` of the
processor: on a machine that does other things as well only the second says what the evaluation costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto import he
from sotto.bench.emotion.emotion_models import EmotionModel, emotion_model
from sotto.bench.papers.dias.cryptonet.study import Session, Vectors, open_pair
from sotto.bench.request import Request
from sotto.bench.rows import costs
from sotto.bench.rows.row import Row, Timing, Traffic
from sotto.bench.workbench import Workbench
from sotto.he.experiment import security
from sotto.he.messages import Mode
from sotto.models.learning.recipes import mlp
from sotto.models.networks.polynomial import DEGREES

DESCRIPTION = "server time of the cryptonet under CKKS: ckks_vector, hand-packed, batched, for degrees 2, 4 and 6"

FLOODING_BITS = 10
Logits = npt.NDArray[np.float64]

_REFERENCE_QUERIES = {"quick": 2, "full": 7}
_BATCHES = {"quick": 1, "full": 3}


@dataclass(frozen=True, eq=False)
class _Study:
    """The network of one degree, its test clips and what it answers in the clear."""

    degree: int
    emotion: EmotionModel
    bench: Workbench

    @property
    def network(self) -> he.PolynomialNetwork:
        return he.PolynomialNetwork.of(self.emotion.module)

    @property
    def test(self) -> Vectors:
        return self.bench.part(self.emotion.queries, "test")

    @property
    def truth(self) -> npt.NDArray[np.int64]:
        return self.bench.part(self.bench.targets, "test")

    def session(self, mode: Mode, flooding_bits: int = 0) -> Session:
        """Fresh keys for the network, whose parameters are calibrated on the training clips."""
        return Session(self.emotion.module, self.bench.part(self.emotion.queries, "train"), mode, flooding_bits)


def run(request: Request) -> Iterator[Row]:
    """For each degree a row of each evaluator, and at degree 2 one of the packed evaluator with flooded answers."""
    bench = open_pair(request)
    for degree in DEGREES:
        study = _Study(degree, emotion_model(mlp(f"poly{degree}"), bench), bench)
        singles, reference = _singles(study)
        yield from (*singles, _batched(study, reference))
        if degree == DEGREES[0]:
            yield _flooded(study, reference)


def _singles(study: _Study) -> tuple[list[Row], Session]:
    """Rows of the evaluators of one query, and the reference's session."""
    packed, reference = study.session("packed"), study.session("tenseal")
    answers: dict[str, list[Logits]] = {"packed": [], "tenseal": []}
    packed.ask(study.test[:1])  # warm
    packed.server_ms.clear()
    packed.server_busy_ms.clear()
    few = _REFERENCE_QUERIES[study.bench.preset]
    for number in range(len(study.test)):
        answers["packed"].append(packed.ask(study.test[number : number + 1]))
        if number < few:
            answers["tenseal"].append(reference.ask(study.test[number : number + 1]))
            study.bench.say(
                f"degree {study.degree}: packed {packed.server_ms[-1]:.0f} ms,"
                f" ckks_vector {reference.server_ms[-1]:.0f} ms"
            )
    rows = [_row(study, each, np.concatenate(answers[each.mode]), reference) for each in (packed, reference)]
    return rows, reference


def _batched(study: _Study, reference: Session) -> Row:
    """One batch or a few, filled with the test clips over and over."""
    session = study.session("batched")
    filled = np.resize(study.test, (session.rows, study.test.shape[1]))
    for _ in range(_BATCHES[study.bench.preset]):
        logits = session.ask(filled)
    study.bench.say(f"degree {study.degree}: batched {session.server_ms[-1] / session.rows:.2f} ms a query")
    return _row(study, session, logits, reference)


def _flooded(study: _Study, reference: Session) -> Row:
    session = study.session("packed", FLOODING_BITS)
    logits = session.ask(study.test)
    study.bench.say(f"degree {study.degree}: flooded to {FLOODING_BITS} bits {session.median_ms:.0f} ms")
    return _row(study, session, logits, reference)


def _row(study: _Study, session: Session, logits: Logits, reference: Session) -> Row:
    """One evaluator's figures; its answers are compared with the plaintext polynomial network's.

    A batch holds the test clips over and over, so ``logits`` may be longer than the test set.
    """
    bench, plan = study.bench, session.bob.plan
    exact = study.network.logits(np.clip(study.test, -1, 1))
    expected = np.resize(exact, (len(logits), exact.shape[1]))
    times, median, busy = np.array(session.server_ms), session.median_ms, session.median_busy_ms
    return Row(
        paradigm="he",
        mode=session.mode,
        model="mlp",
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        n_queries=len(logits),
        parameters={
            "degree": study.degree,
            "batch": session.rows,
            "threads": 1,
            "flooding_bits": session.flooding_bits,
            "ring_degree": session.bob.description.ring_degree,
            "modulus_bits": list(session.chain),
        },
        accuracy_plain=float(np.mean(exact.argmax(axis=1) == study.truth)),
        accuracy_private=float(np.mean(logits.argmax(axis=1) == np.resize(study.truth, len(logits)))),
        agreement=float(np.mean(logits.argmax(axis=1) == expected.argmax(axis=1))),
        max_abs_error=float(np.abs(logits - expected).max()),
        metrics={
            "server_ms": median,
            "server_ms_fastest": float(times.min()),
            "server_ms_slowest": float(times.max()),
            "server_busy_ms": busy,
            "server_ms_per_query": median / session.rows,
            "server_busy_ms_per_query": busy / session.rows,
            "times_faster_than_tenseal": reference.median_ms * session.rows / median,
            "times_less_busy_than_tenseal": reference.median_busy_ms * session.rows / busy,
            "timed_queries": float(len(times)),
            "query_bytes": session.query_bytes / session.rows,
            "answer_bytes": session.answer_bytes / session.rows,
            "key_mb": session.key_bytes / 1e6,
            "model_load_ms": session.load_ms,
            "largest_logit": float(np.abs(exact).max()),
            "logit_bound": plan.logit_bound,
            "bound_is_proved": float(plan.proved),
            "estimated_logit_error": plan.logit_error,
        },
        offline_ms=Timing(session.prepare_ms, session.prepare_ms),
        online_ms=costs.timing_of(session.server_ms),
        per_query_ms_batched=median / session.rows if session.rows > 1 else None,
        bytes=Traffic(session.query_bytes, session.answer_bytes, None),
        rounds=1,
        key_bytes=session.key_bytes,
        security=security(session.flooding_bits),
    )
