"""Speech recognition under Shuffling, Flipping and ROM: word error rates (table II of Niwa, Shiota, Kiya).

The papers recognise LibriSpeech with a transformer; here it is strings of digits with a small CTC network, so the
figures compare only in how they change.
"""

from __future__ import annotations

from sotto.bench.papers.niwa.encryption_scenario import rows
from sotto.bench.request import Request
from sotto.bench.row import Row
from sotto.bench.speech_tasks.recognition import recognisers

DESCRIPTION = "speech recognition, encrypted: WER in % with the correct key, none, incorrect ones (--data DIR)"

_PUBLISHED = {
    "": {
        "shuffling": (4.4, 10.9, 4.4, 14.18),
        "flipping": (4.4, 98.1, 4.4, 98.26),
        "rom": (4.4, 99.7, 4.4, 97.62),
    },
    "_first": {"shuffling": (4.4, 12.2, 4.4, 11.9), "flipping": (4.4, 97.8, 4.4, 97.8)},
}


def run(request: Request) -> list[Row]:
    """One row for each key type; espeak-ng's voices where no folder of recordings is named."""
    request.require_corpus("fsdd")
    found = recognisers(request.data, preset=request.preset, seed=request.seed, say=request.say)
    return rows([each.task for each in found], "patch-ctc", request, _PUBLISHED)
