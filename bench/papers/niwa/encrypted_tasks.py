"""Tables I to III of Niwa, Shiota, Kiya, and the same for emotions: what keys change for each speech task.

*Plain model* is the unencrypted network on unencrypted queries; the other three are the encrypted network on
unencrypted queries, on queries under its own key, and on queries under other keys of the same type and size (the mean
of five).  Every figure is measured anew, also those that must be equal: the row says how far the scores under the
correct key are from the plain ones, and whether the metric is the same.  All rates are in percent.

The papers' networks are not these, so figures compare only in how they change.  *Verification* (equal error rates):
there HuBERT with an x-vector head, trained on thousands of hours and tested on VoxCeleb1; here a small network trained
on less than an hour.  *Recognition* (word error rates): there LibriSpeech with a transformer, here strings of digits
with a small CTC network.  *Scenes* (accuracies): there ConvMixer-768/32 on the rooms of SINS, here a smaller one on
ESC-10 and the part of UrbanSound8K that is there.  *Emotions* are not in the papers; the same table for the networks
that ``sotto bench`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, pairwise

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sotto import keyed
from sotto.audio import CorpusError
from sotto.bench.emotion.emotion_models import emotion_model
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import recognisers
from sotto.bench.speech_tasks.scenes import CORPORA, accuracy, scene_tasks
from sotto.bench.speech_tasks.verification import verification_task
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH
from sotto.models.networks.speaker_embedding import SpeakerEmbedding, fourier

KEYS = 5  # as in the papers
COLUMNS = ("plain_model", "plain_query", "correct_key", "incorrect_key")
Published = Mapping[str, Sequence[float | None]]


@dataclass(frozen=True)
class Scenario:
    """One task under one key type, shares; errors are of the outputs under the correct key.

    ``…_sd`` are standard deviations over keys: of the model under plain queries, of the query under incorrect ones.
    """

    plain_model: float
    plain_query: float
    plain_query_sd: float
    correct_key: float
    incorrect_key: float
    incorrect_sd: float
    largest_error: float
    largest_output: float
    bit_identical: bool


def scenario(task: SpeechTask, kind: str, plain: Tensor, seed: int) -> Scenario:
    """Encrypt the task's network under :data:`KEYS` keys, one after another, and ask it everything each time.

    ``plain`` is what the plain network says.  The incorrect key of each is the one before it, which differs.
    """
    drawn = drawn_keys(kind, task.block_size, task.dimension, seed=seed, purpose=f"{task.name} {task.split}")
    keys = list(islice(drawn, KEYS + 1))
    without, correct, wrong = [], [], []
    for other, key in pairwise(keys):
        encrypted = keyed.encrypt_model(task.module, key, example=task.inputs[:1])
        without.append(task.measure(encrypted, task.inputs))
        correct.append(task.outputs(encrypted, keyed.encrypt(task.inputs, key)))
        wrong.append(task.measure(encrypted, keyed.encrypt(task.inputs, other)))
    figure = task.figure(plain)
    return Scenario(
        plain_model=figure,
        plain_query=float(np.mean(without)),
        plain_query_sd=float(np.std(without, ddof=1)),
        correct_key=max((task.figure(outputs) for outputs in correct), key=lambda each: abs(each - figure)),
        incorrect_key=float(np.mean(wrong)),
        incorrect_sd=float(np.std(wrong, ddof=1)),
        largest_error=max(float((outputs - plain).abs().max()) for outputs in correct),
        largest_output=float(plain.abs().max()),
        bit_identical=all(torch.equal(outputs, plain) for outputs in correct),
    )


def rows(
    tasks: Sequence[SpeechTask], model: str, request: Request, published: Mapping[str, Published] | None = None
) -> Iterator[Row]:
    """One row for each key type: means over the tasks, which are the folds of one task.

    Parameters
    ----------
    tasks
        alike but for who or what was held out.
    published
        a paper's name to its figures in percent by key type, in the order of :data:`COLUMNS`.
    """
    plain = [task.outputs(task.module, task.inputs) for task in tasks]
    for kind in keyed.KEY_TYPES:
        folds = [scenario(task, kind, outputs, request.seed) for task, outputs in zip(tasks, plain, strict=True)]
        printed = {name: table[kind] for name, table in (published or {}).items() if kind in table}
        row = _row(kind, tasks, folds, model, request.seed, printed)
        percents = {name: row.metrics[f"{tasks[0].metric}_{name}"] for name in COLUMNS}
        request.say(f"{tasks[0].name}, {kind}: " + ", ".join(f"{n} {v:.2f}" for n, v in percents.items()) + " %")
        yield row


def _row(
    kind: str,
    tasks: Sequence[SpeechTask],
    folds: Sequence[Scenario],
    model: str,
    seed: int,
    printed: Mapping[str, Sequence[float | None]],
) -> Row:
    task, metric = tasks[0], tasks[0].metric
    means = {
        name: float(np.mean([getattr(fold, name) for fold in folds]))
        for name in (*COLUMNS, "plain_query_sd", "incorrect_sd")
    }
    return Row(
        paradigm="keyed",
        mode=kind,
        model=model,
        corpus=task.corpus,
        split=task.split if len(tasks) == 1 else f"{len(tasks)} folds",
        seed=seed,
        n_queries=sum(len(each.inputs) for each in tasks),
        parameters={"block_size": task.block_size, "dimension": task.dimension},
        accuracy_plain=means["plain_model"] if metric == "accuracy" else None,
        max_abs_error=max(fold.largest_error for fold in folds),
        metrics={
            **{f"{metric}_{name}": 100 * mean for name, mean in means.items()},
            "metric_identical": float(all(fold.correct_key == fold.plain_model for fold in folds)),
            "scores_bit_identical": float(all(fold.bit_identical for fold in folds)),
            "largest_output": max(fold.largest_output for fold in folds),
        },
        published={
            f"{metric}_{name}{paper}": figure
            for paper, figures in printed.items()
            for name, figure in zip(COLUMNS, figures, strict=True)
            if figure is not None
        },
    )


Networks = Iterable[tuple[str, Sequence[SpeechTask]]]


@dataclass(frozen=True)
class Table:
    """The table of one task.

    ``networks`` gives each network's name and its folds; ``published`` the papers' figures as :func:`rows` takes them,
    the first paper's under ``_first``; ``attack`` what else is measured of a fold under a key type.
    """

    DESCRIPTION: str
    networks: Callable[[Request], Networks]
    published: Mapping[str, Published] = field(default_factory=dict)
    attack: Callable[[SpeechTask, str], Mapping[str, float]] | None = None

    def run(self, request: Request) -> Iterator[Row]:
        """One row for each network and key type.

        Raises
        ------
        CorpusError
            one clear line.
        """
        for name, folds in self.networks(request):
            for row in rows(folds, name, request, self.published):
                more = self.attack(folds[0], row.mode) if self.attack else {}
                yield msgspec.structs.replace(row, metrics={**row.metrics, **more})


def _verifiers(request: Request) -> Networks:
    """Of espeak-ng's voices where no folder of recordings is named."""
    request.require_corpus("librispeech")
    task = verification_task(request.data, preset=request.preset, seed=request.seed, say=request.say)
    yield "speaker-embedding", [task]


def _recognisers(request: Request) -> Networks:
    """Of espeak-ng's voices where no folder of recordings is named."""
    request.require_corpus("fsdd")
    folds = recognisers(request.data, preset=request.preset, seed=request.seed, say=request.say)
    yield "patch-ctc", [each.task for each in folds]


def _scene_classifiers(request: Request) -> Networks:
    """One for each corpus; ``--corpus esc10`` or ``urbansound8k`` takes that one alone; no synthetic one has scenes."""
    if request.data is None:
        raise CorpusError(
            "no-folder-named",
            "scenes are recordings: name the folder that holds ESC-10 or UrbanSound8K with --data DIR",
        )
    if request.corpus not in (*CORPORA, "synthetic"):
        raise CorpusError(
            "no-scenes", f"{request.corpus} has no scenes: --corpus takes {' or '.join(CORPORA)}, or leave it out"
        )
    for name in CORPORA if request.corpus == "synthetic" else (request.corpus,):
        folds = scene_tasks(name, request.data, preset=request.preset, seed=request.seed, say=request.say)
        yield "convmixer", folds


def _emotion_networks(request: Request) -> Networks:
    bench = request.open_workbench()
    truth = torch.from_numpy(bench.part(bench.targets, "test"))
    for recipe, dimension in ((WAVE_PATCH, 1), (SPECTROGRAM_PATCH, 2)):
        emotion = emotion_model(recipe, bench)
        task = SpeechTask(
            name="emotion",
            corpus=bench.corpus.name,
            split=bench.split.name,
            module=emotion.module,
            inputs=torch.from_numpy(bench.part(emotion.queries, "test")),
            block_size=int(str(recipe.arguments["block_size"])),
            dimension=dimension,
            metric="accuracy",
            figure=partial(accuracy, truth),
            batch=64,
        )
        yield recipe.name, [task]


def key_error(task: SpeechTask, kind: str) -> float:
    """The largest error of a matrix entry so found, under a fresh key for the task's verifier."""
    key = keyed.generate_key(kind, task.block_size, task.dimension)
    encrypted = keyed.encrypt_model(task.module, key, example=task.inputs[:1])
    if not isinstance(encrypted, SpeakerEmbedding):
        raise TypeError("the verifier is a speaker embedding")
    return float(np.abs(key_from_filterbank(encrypted) - key.matrix()).max())


def key_from_filterbank(encrypted: SpeakerEmbedding) -> npt.NDArray[np.float64]:
    """The key (M, M) of an encrypted model whose first two layers are known to make a Fourier transform together.

    Filters times patches give the transform, so the filters give the plain patches E, and E' = E K the key.
    """
    patches, filters = (layer.weight.detach().double() for layer in (encrypted.front.patches, encrypted.front.filters))
    _, block, window = filters.shape
    transform = fourier(window * block).double().reshape(-1, window, block)
    plain = torch.linalg.lstsq(filters.transpose(1, 2).reshape(-1, block), transform.reshape(-1, block)).solution
    key: npt.NDArray[np.float64] = torch.linalg.solve(plain, patches[:, 0]).numpy()
    return key


VERIFICATION = Table(
    "speaker verification, encrypted: EER in % with the correct key, none, incorrect ones (--data DIR)",
    _verifiers,
    {
        "": {
            "shuffling": (7.91, 36.7, 7.91, 33.3),
            "flipping": (7.91, 37.2, 7.91, 34.1),
            "rom": (7.91, 35.3, 7.91, 35.1),
        },
        "_first": {"shuffling": (8.3, 41.3, 8.3, 37.6), "flipping": (8.3, 39.3, 8.3, 39.1)},
    },
    lambda task, kind: {"attack_filterbank_error": key_error(task, kind)},
)
RECOGNITION = Table(
    "speech recognition, encrypted: WER in % with the correct key, none, incorrect ones (--data DIR)",
    _recognisers,
    {
        "": {
            "shuffling": (4.4, 10.9, 4.4, 14.18),
            "flipping": (4.4, 98.1, 4.4, 98.26),
            "rom": (4.4, 99.7, 4.4, 97.62),
        },
        "_first": {"shuffling": (4.4, 12.2, 4.4, 11.9), "flipping": (4.4, 97.8, 4.4, 97.8)},
    },
)
SCENES = Table(
    "scene classification, encrypted: accuracy in % with the correct key, none, incorrect ones (--data DIR)",
    _scene_classifiers,
    {
        "": {
            "shuffling": (85.4, 64.6, 85.4, 60.5),
            "flipping": (85.4, 1.97, 85.4, 1.99),
            "rom": (85.4, 1.97, 85.4, 1.99),
        }
    },
)
EMOTION = Table(
    "emotion recognition, encrypted: accuracy in % with the correct key, none, incorrect ones", _emotion_networks
)
