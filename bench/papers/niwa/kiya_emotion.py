"""Emotion recognition under Shuffling, Flipping and ROM, on waveforms and on spectrograms: accuracies.

Not in the papers; the same table for the networks that ``sotto bench`` compares.
"""

from __future__ import annotations

import torch

from sotto.bench.emotion_models import emotion_model
from sotto.bench.papers.niwa.encryption_scenario import rows
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.speech_tasks import SpeechTask
from sotto.bench.workbench import Workbench
from sotto.models.learning.recipes import SPECTROGRAM_PATCH, WAVE_PATCH, Recipe

DESCRIPTION = "emotion recognition, encrypted: accuracy in % with the correct key, none, incorrect ones"


def run(request: Request) -> list[Row]:
    """A row for each network and key type."""
    bench = request.open_workbench()
    found = []
    for recipe, dimension in ((WAVE_PATCH, 1), (SPECTROGRAM_PATCH, 2)):
        found += rows([_task(recipe, dimension, bench)], recipe.name, request)
    return found


def _task(recipe: Recipe, dimension: int, bench: Workbench) -> SpeechTask:
    emotion = emotion_model(recipe, bench)
    truth = torch.from_numpy(bench.part(bench.targets, "test"))
    return SpeechTask(
        name="emotion",
        corpus=bench.corpus.name,
        split=bench.split.name,
        module=emotion.module,
        inputs=torch.from_numpy(bench.part(emotion.queries, "test")),
        block_size=int(str(recipe.arguments["block_size"])),
        dimension=dimension,
        metric="accuracy",
        figure=lambda logits: float((logits.argmax(1) == truth).double().mean()),
        batch=64,
    )
