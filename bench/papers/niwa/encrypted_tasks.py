"""Tables I to III of Niwa, Shiota, Kiya, and the same for emotions: what keys change for each speech task.

The papers' networks are not these, so figures compare only in how they change.  *Verification* (equal error rates):
there HuBERT with an x-vector head, trained on thousands of hours and tested on VoxCeleb1; here a small network trained
on less than an hour.  *Recognition* (word error rates): there LibriSpeech with a transformer, here strings of digits
with a small CTC network.  *Scenes* (accuracies): there ConvMixer-768/32 on the rooms of SINS, here a smaller one on
ESC-10 and the part of UrbanSound8K that is there.  *Emotions* are not in the papers; the same table for the networks
that ``sotto bench`` compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import torch

from sotto.audio import CorpusError
from sotto.bench.emotion.emotion_models import emotion_model
from sotto.bench.papers.niwa.encrypted_models import Published, rows
from sotto.bench.papers.niwa.filterbank_key import key_error
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.speech_tasks.recognition import recognisers
from sotto.bench.speech_tasks.scenes import CORPORA, accuracy, scene_tasks
from sotto.bench.speech_tasks.verification import verification_task
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH

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

    def run(self, request: Request) -> list[Row]:
        """One row for each network and key type.

        Raises
        ------
        CorpusError
            one clear line.
        """
        table = []
        for name, folds in self.networks(request):
            for row in rows(folds, name, request, self.published):
                more = self.attack(folds[0], row.mode) if self.attack else {}
                table.append(msgspec.structs.replace(row, metrics={**row.metrics, **more}))
        return table


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
