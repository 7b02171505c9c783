"""Scene classification under Shuffling, Flipping and ROM: accuracies (table III of Niwa, Shiota, Kiya).

The paper's ConvMixer-768/32 classifies the rooms of SINS; here a smaller one classifies ESC-10 and the part of
UrbanSound8K that is there, so the figures compare only in how they change.
"""

from __future__ import annotations

from sotto.audio import CorpusError
from sotto.bench.papers.niwa.encryption_scenario import rows
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.speech_tasks.scenes import CORPORA, scene_tasks

DESCRIPTION = "scene classification, encrypted: accuracy in % with the correct key, none, incorrect ones (--data DIR)"

_PUBLISHED = {
    "": {
        "shuffling": (85.4, 64.6, 85.4, 60.5),
        "flipping": (85.4, 1.97, 85.4, 1.99),
        "rom": (85.4, 1.97, 85.4, 1.99),
    }
}


def run(request: Request) -> list[Row]:
    """A row for each corpus and key type; ``--corpus esc10`` or ``urbansound8k`` takes that one alone.

    Raises:
        CorpusError: no folder of recordings is named; no synthetic corpus has scenes.
    """
    if request.data is None:
        raise CorpusError("scenes are recordings: name the folder that holds ESC-10 or UrbanSound8K with --data DIR")
    if request.corpus not in (*CORPORA, "synthetic"):
        raise CorpusError(f"{request.corpus} has no scenes: --corpus takes {' or '.join(CORPORA)}, or leave it out")
    chosen = CORPORA if request.corpus == "synthetic" else (request.corpus,)
    found = []
    for name in chosen:
        tasks = scene_tasks(name, request.data, preset=request.preset, seed=request.seed, say=request.say)
        found += rows(tasks, "convmixer", request, _PUBLISHED)
    return found
