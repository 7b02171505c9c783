"""Examples of speech for figures: a few seconds of each of a few speakers, from any corpus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from sotto.audio import Clip, load_corpus, read
from sotto.audio.errors import CorpusError
from sotto.bench.request import Request
from sotto.keyed import Key, encrypt

Floats = npt.NDArray[np.float64]

RATE = 16_000
_PAUSE = 0.05  # seconds between clips that are joined


@dataclass(frozen=True, eq=False)
class Example:
    """``sound``: float64 (samples,) at 16 kHz, its largest magnitude 1; ``name``: of the clip it begins with."""

    name: str
    sound: Floats


def speech_examples(request: Request, count: int, *, seconds: float = 3.0) -> list[Example]:
    """The first ``seconds`` of ``count`` speakers (of clips, where a corpus names no speakers), drawn with the seed.

    Clips of one speaker are joined until there is enough, since a transform that works on blocks has little to show on
    half a second of speech; silence before and after each clip is left out.

    Raises
    ------
    CorpusError
        the corpus has no clip that can be used.
    """
    corpus = load_corpus(request.corpus, request.data, skip_broken=request.skip_broken)
    groups: dict[str, list[int]] = {}
    for index, clip in enumerate(corpus):
        groups.setdefault(clip.speaker or clip.id, []).append(index)
    rng = np.random.default_rng(request.seed)
    names = sorted(groups)
    examples = []
    for group in rng.permutation(len(names)):
        clips = [corpus[int(index)] for index in rng.permutation(groups[names[group]])]
        sound = np.zeros(0)
        for clip in clips:
            if len(sound) >= seconds * RATE:
                break
            sound = np.concatenate(
                [sound, np.zeros(int(_PAUSE * RATE)) if len(sound) else sound, _without_silence(clip)]
            )
        sound = sound[: int(seconds * RATE)]
        if len(sound) and np.abs(sound).max() > 0:
            examples.append(Example(clips[0].id, sound / np.abs(sound).max()))
        if len(examples) == count:
            break
    if not examples:
        raise CorpusError("no-sound", f"{corpus.name}: has no clip with sound in it; choose another corpus")
    return examples


def encrypted(values: Floats, key: Key) -> Floats:
    """A sound or a spectrogram under ``key``, in whole blocks."""
    return np.asarray(encrypt(torch.from_numpy(values), key).numpy(), np.float64)


def _without_silence(clip: Clip) -> Floats:
    """The clip from its first to its last moment of speech: 25 ms within 35 dB of its loudest, rumble left aside."""
    sound = np.asarray(read(clip, RATE), np.float64)
    power = np.convolve(np.diff(sound, prepend=0.0) ** 2, np.ones(RATE // 40), "same")  # differences: high frequencies
    loud = np.flatnonzero(power > 10**-3.5 * power.max())
    return sound[loud[0] : loud[-1] + 1] if len(loud) and power.max() > 0 else np.zeros(0)
