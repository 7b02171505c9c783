"""A published speaker encoder at Alice, a private head at Bob: how speech services on embeddings would be deployed.

Alice computes 256 numbers of her clip with weights that everybody has; only the head on top of them is Bob's, and only
it is evaluated privately.  Two heads, on the test speakers of one split: *emotion*, a small network trained on the
training speakers (ReLU for `mpc`, squares for `he`); *speaker*, one template of each test speaker (the mean embedding
of one sentence), probed with the other sentence: Alice learns whose it is, and Bob's templates stay with Bob.

``eer_percent`` is over every probe and template, from the plain scores; ``max_abs_error`` is how far the private ones
are from those.  ``front_end_ms`` is Alice's own work before a query, median.  The encoder was trained to tell speakers
apart, not emotions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from sotto.audio import read
from sotto.bench.listeners.published import SpeakerEmbeddingFeature
from sotto.bench.own_model import Given
from sotto.bench.own_models.comparison import Examples, compare_own
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks.verification import equal_error_rate
from sotto.bench.workbench import Workbench
from sotto.link import Coded
from sotto.models import Normalisation
from sotto.models.learning.training import Schedule, predict, train
from sotto.models.networks.mlp import MLP, Activation

DESCRIPTION = "published speaker embeddings at Alice, a private head at Bob: emotion and speaker (--data DIR)"

#: Preset to activation of the emotion head to the paradigms that run it.
PARADIGMS: dict[str, dict[Activation, tuple[str, ...]]] = {
    "quick": {"relu": ("mpc/malicious", "mpc/semi-honest"), "poly2": ("he/packed",)},
    "full": {"relu": ("mpc/malicious", "mpc/semi-honest", "mpc/two-party"), "poly2": ("he/packed", "he/batched")},
}
CLIPS = {"quick": 60, "full": 360}
SINGLES = {"quick": 10, "full": 30}
_HIDDEN = (64,)
_SCHEDULE = Schedule(epochs=60, batch=32, average=0.98, patience=15)
_TIMED = 11

Floats = npt.NDArray[np.float32]


class HeadFailed(Coded, RuntimeError):
    """A paradigm could not run a head that it should run; one line says why."""


def run(request: Request) -> Iterator[Row]:
    """A row for each head and paradigm."""
    bench = request.open_workbench()
    embeddings = bench.features(SpeakerEmbeddingFeature())
    front_end = _front_end_ms(bench)
    for activation, paradigms in PARADIGMS[request.preset].items():
        for head in (_emotion(bench, embeddings, activation), _speaker(bench, embeddings)):
            for row in _compared(request, head, paradigms):
                measured = {**row.metrics, **head.figures, "front_end_ms": front_end}
                request.say(f"{head.name}, {row.paradigm}/{row.mode}: {row.accuracy_private:.1%}")
                yield msgspec.structs.replace(row, metrics=measured)


@dataclass(frozen=True, eq=False)
class Head:
    """A network on embeddings, what it is asked, features like those, and figures of its plain scores."""

    name: str
    network: nn.Module
    examples: Examples
    calibration: Floats
    figures: dict[str, float | None]


def _emotion(bench: Workbench, embeddings: Floats, activation: Activation) -> Head:
    """A network with one hidden layer, trained on the training speakers."""
    seen = [*bench.split.train, *bench.split.validation]
    x = Normalisation.range(embeddings[seen], clip=1.0).transform(embeddings)
    module = train(
        lambda: MLP(embeddings.shape[1], _HIDDEN, len(bench.classes), activation),
        x,
        bench.targets,
        speakers=bench.speakers,
        training=bench.split.train,
        validation=bench.split.validation,
        schedule=_SCHEDULE,
        seed=bench.seed,
        label=f"{bench.corpus.name} ge2e",
    ).module
    examples = _examples(bench, bench.part(x, "test"), bench.part(bench.targets, "test"))
    correct = predict(module, examples.queries).argmax(1) == examples.truth
    recalls = [float(correct[examples.truth == label].mean()) for label in np.unique(examples.truth)]
    figures: dict[str, float | None] = {"unweighted_recall_percent": 100 * float(np.mean(recalls))}
    return Head(f"ge2e-emotion-{activation}", module, examples, x[seen], figures)


def _speaker(bench: Workbench, embeddings: Floats) -> Head:
    """One template of each test speaker as a row of Bob's only layer."""
    test = np.array(bench.split.test)
    names = np.array(bench.speakers)[test]
    sentences = np.array([bench.corpus[i].sentence or str(place % 2) for place, i in enumerate(test)])
    enrolled = sentences == min(sentences)
    speakers = sorted(set(names.tolist()))
    templates = np.stack([embeddings[test[enrolled & (names == name)]].mean(axis=0) for name in speakers])
    head = MLP(embeddings.shape[1], (), len(speakers))
    with torch.no_grad():
        head.head.weight.copy_(torch.from_numpy(templates / np.linalg.norm(templates, axis=1, keepdims=True)))
        head.head.bias.zero_()
    truth = np.array([speakers.index(name) for name in names[~enrolled]], np.int64)
    examples = _examples(bench, embeddings[test[~enrolled]], truth)
    scores = predict(head.eval(), examples.queries)
    same = truth[:, None] == np.arange(len(speakers))
    figures: dict[str, float | None] = {
        "eer_percent": 100 * equal_error_rate(scores.ravel(), same.ravel()),
        "speakers": float(len(speakers)),
    }
    return Head("ge2e-speaker", head, examples, embeddings[list(bench.split.train)], figures)


def _examples(bench: Workbench, queries: Floats, truth: npt.NDArray[np.int64]) -> Examples:
    return Examples(queries, truth, bench.corpus.name, bench.split.name, bench.seed, {"features": "ge2e"})


def _compared(request: Request, head: Head, paradigms: Sequence[str]) -> Iterator[Row]:
    """Rows of every paradigm; each of them runs such a network, so one that does not is an error."""

    def given(folder: Path, mode: str) -> Given:
        return Given(folder, mode, input_shape=head.examples.queries.shape[1:], calibration=head.calibration)

    for found in compare_own(
        head.network,
        head.name,
        head.examples,
        paradigms,
        given,
        singles=SINGLES[request.preset],
        most=CLIPS[request.preset],
        say=request.say,
    ):
        if not isinstance(found, Row):
            raise HeadFailed("head-failed", f"{head.name}: {found}")
        yield found


def _front_end_ms(bench: Workbench) -> float:
    """Alice's encoder on one clip, the median after a first one that loads it."""
    spec = SpeakerEmbeddingFeature()
    clips = [read(bench.corpus[i], spec.sample_rate) for i in bench.split.test[:_TIMED]]
    times = []
    for samples in clips:
        begun = time.perf_counter()
        spec.compute(samples)
        times.append(time.perf_counter() - begun)
    return 1000 * float(np.median(times[1:]))
