"""The sounds of the sound event task: recorded events and speech where the user has them, else made-up events.

The workbench's corpus is of people speaking; this task needs dogs and sirens, with somebody speaking over half of them.
Its rows name the corpora they are really on.
"""

from __future__ import annotations

import weakref

import numpy as np

from sotto.adversarial.sounds.divided_sounds import Material, Part, divide, made_up_material, open_material
from sotto.adversarial.sounds.made_up_sounds import CLASSES, NOTICE, made_up_events
from sotto.adversarial.sounds.segments import Events, Speech, most_energetic
from sotto.audio import Clip, CorpusError, read
from sotto.audio.parallel import spread
from sotto.bench.workbench import Workbench

RECORDED = ("fsd50k", "urbansound8k")
_EVENTS_EACH = 36
_CLIPS_EACH = 12
_OPENED: weakref.WeakKeyDictionary[Workbench, dict[int, Material]] = weakref.WeakKeyDictionary()


def sound_events(bench: Workbench, rate: int) -> Material:
    """Segments at ``rate`` samples per second, cut once for each workbench.

    From FSD50K or UrbanSound8K (and ESC-10), with LibriSpeech or RAVDESS, if the folder that was named with ``--data``
    holds them.  Otherwise events are made up, and the people of the workbench's corpus speak over them, divided as its
    split divides them.
    """
    opened = _OPENED.setdefault(bench, {})
    if rate not in opened:
        opened[rate] = _recorded(bench, rate) or _made_up(bench, rate)
        material = opened[rate]
        sizes = ", ".join(f"{name} {len(part.events)} + {len(part.speech)}" for name, part in material.parts.items())
        bench.say(f"{material.name}: segments of events + speech: {sizes}")
        if material.notice:
            bench.say(material.notice)
    return opened[rate]


def _recorded(bench: Workbench, rate: int) -> Material | None:
    """The first recorded sound events in the user's folder; None, said aloud, when there are none."""
    if bench.data is None:
        return None
    for corpus in RECORDED:
        try:
            return open_material(corpus, bench.data, rate=rate, seed=bench.seed)
        except CorpusError as error:
            bench.say(f"sound events: no {corpus} ({error})")
    return None


def _made_up(bench: Workbench, rate: int) -> Material:
    if not bench.corpus.has("speaker"):
        return made_up_material(rate=rate, seed=bench.seed, events=_EVENTS_EACH)
    events = made_up_events(rate, _EVENTS_EACH, bench.seed)
    sides = divide([(str(k), name) for k, name in zip(events.event, events.recording, strict=True)], bench.seed)
    parts = {}
    for name, places in sides.items():
        chosen = np.array(places)
        speech = _speech([bench.corpus[i] for i in getattr(bench.split, name)], rate, bench.seed)
        parts[name] = Part(Events(events.waveforms[chosen], events.event[chosen], events.recording[chosen]), speech)
    return Material(
        f"made-up events + {bench.corpus.name}", CLASSES, rate, f"recordings-seed{bench.seed} + {bench.split.name}",
        parts, NOTICE,
    )  # fmt: skip


def _speech(clips: list[Clip], rate: int, seed: int) -> Speech:
    """The most energetic second of some clips of each speaker."""
    generator = np.random.default_rng(seed)
    turns: dict[str | None, int] = {}
    chosen = []
    for place in generator.permutation(len(clips)):
        clip = clips[place]
        turns[clip.speaker] = turns.get(clip.speaker, 0) + 1
        if turns[clip.speaker] <= _CLIPS_EACH:
            chosen.append(clip)
    pieces: dict[int, np.ndarray] = {}
    for place, found in spread(_Cutter(rate), chosen, seconds_each=0.01, label="cutting speech", jobs=1):
        if found:
            pieces[place] = found[0]
    if not pieces:
        raise CorpusError(
            "no-events", "a part of the split holds no clip in which anything is heard: adversarial needs speech in all"
        )
    kept = [chosen[place] for place in sorted(pieces)]
    return Speech(
        np.stack([pieces[place] for place in sorted(pieces)]),
        np.array([clip.speaker or "" for clip in kept]),
        np.array([clip.sex or "" for clip in kept]),
        np.array([clip.id for clip in kept]),
    )


class _Cutter:
    def __init__(self, rate: int) -> None:
        self.rate = rate

    def __call__(self, clip: Clip) -> list[np.ndarray]:
        return list(most_energetic(read(clip, self.rate), self.rate))
