"""Making the corpus: every voice speaks every sentence with every emotion, into a folder that appears all at once.

    FOLDER/manifest.json              format, recipe, seed, software, and for each clip its labels and BLAKE2b digest
    FOLDER/voice01/voice01-sad-2.flac

Clips are written to a folder beside the final one, which is renamed when complete; what an interrupted run leaves
behind is removed by the next. Each clip has its own random stream, so the result does not depend on the number of jobs.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile

from sotto.audio.errors import CorpusError
from sotto.audio.parallel import spread
from sotto.audio.synthetic.emotions import EMOTIONS, SENTENCES, Expression, Temperament, act
from sotto.audio.synthetic.espeak import RATE as ESPEAK_RATE
from sotto.audio.synthetic.espeak import EspeakError, Utterance, speak
from sotto.audio.synthetic.recipe import RECIPE, digest, recipe
from sotto.audio.synthetic.voice_quality import (
    breathe,
    put_in_room,
    roughen,
    scale_tract,
    set_level,
    tilt_spectrum,
    tremble,
)
from sotto.audio.synthetic.voices import VOICES, Voice
from sotto.link.storage import partial_path

_log = logging.getLogger("sotto")

RATE = 16000
_PLAIN_SPEED = 165


def make(folder: Path, seed: int = 0, *, sentences: int | None = None, jobs: int | None = None) -> None:
    """Speak the corpus into `folder`, which must not exist yet (or be empty); its first `sentences`, None for all.

    Raises
    ------
    CorpusError
        the folder is in the way or cannot be written, or espeak-ng does not work.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CorpusError("in-the-way", f"{folder}: is in the way; name a folder that does not exist yet")
    partial_folder = partial_path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial_folder.mkdir()
        rows: dict[int, list[dict[str, str]]] = {}
        speak_all = partial(_speak_voice, folder=partial_folder, seed=seed, sentences=SENTENCES[:sentences])
        label = "speaking the synthetic corpus"
        work = spread(speak_all, VOICES, seconds_each=1.0, label=label, unit="voice", jobs=jobs)
        for position, clips in work:
            rows[position] = clips
        manifest = {**recipe(seed, sentences), "clips": [row for position in sorted(rows) for row in rows[position]]}
        (partial_folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        _put_in_place(partial_folder, folder)
    except EspeakError as error:
        raise CorpusError("cannot-speak", f"the synthetic corpus cannot be spoken: {error}") from None
    except soundfile.SoundFileError as error:
        raise CorpusError(
            "cannot-write", f"{folder}: cannot be written ({error}): make room, or name another cache with SOTTO_CACHE"
        ) from None
    except OSError as error:
        raise CorpusError(
            "cannot-write",
            f"{folder}: cannot be written ({error.strerror or error}): name another cache with SOTTO_CACHE",
        ) from None
    finally:
        shutil.rmtree(partial_folder, ignore_errors=True)


def _put_in_place(partial_folder: Path, folder: Path) -> None:
    """Rename; another process that made the same corpus meanwhile has done the same work, so its result is as good."""
    try:
        partial_folder.replace(folder)
    except OSError:
        if not (folder / "manifest.json").exists():
            raise


def _speak_voice(voice: Voice, folder: Path, seed: int, sentences: Sequence[str]) -> list[dict[str, str]]:
    """All clips of one voice; runs in a worker process. Returns their rows of the manifest."""
    number = VOICES.index(voice)
    own = np.random.default_rng([RECIPE, seed, number])
    temperament = Temperament.draw(own)
    microphone_tilt, noise_level = own.normal(0, 0.5), own.uniform(-66, -54)
    plan = [(e, s) for e in range(len(EMOTIONS)) for s in range(len(sentences))]
    generators = [np.random.default_rng([RECIPE, seed, number, e, s]) for e, s in plan]
    expressions = [act(EMOTIONS[e], temperament, g) for (e, _), g in zip(plan, generators, strict=True)]
    utterances = [
        _utterance(sentences[s], x, voice, g) for (_, s), x, g in zip(plan, expressions, generators, strict=True)
    ]
    rows = []
    (folder / voice.name).mkdir()
    for (e, s), x, g, raw in zip(plan, expressions, generators, speak(voice.espeak_name, utterances), strict=True):
        name = f"{voice.name}-{EMOTIONS[e]}-{s + 1}"
        path = folder / voice.name / f"{name}.flac"
        soundfile.write(path, _colour(raw, voice, x, microphone_tilt, noise_level, g), RATE, subtype="PCM_16")
        rows.append(
            {
                "id": name, "file": f"{voice.name}/{name}.flac", "speaker": voice.name, "sex": voice.sex,
                "emotion": EMOTIONS[e], "sentence": str(s + 1), "transcript": sentences[s], "digest": digest(path),
            }
        )  # fmt: skip
    return rows


def _utterance(sentence: str, expression: Expression, voice: Voice, generator: np.random.Generator) -> Utterance:
    ending = "?" if generator.random() < expression.rise else "."
    return Utterance(
        text=sentence + ending,
        speed=round(_PLAIN_SPEED * float(np.exp(expression.speed)) / voice.tract),
        pitch=int(np.clip(round(45 + expression.pitch), 0, 99)),
        range=int(np.clip(round(45 + expression.range), 0, 99)),
    )


def _colour(
    raw: np.ndarray, voice: Voice, x: Expression, microphone_tilt: float, noise: float, generator: np.random.Generator
) -> np.ndarray:
    samples = scale_tract(raw.astype(np.float64) / 32768, ESPEAK_RATE, RATE, voice.tract)
    samples = tremble(samples, RATE, x.tremor, generator)
    samples = roughen(samples, RATE, x.roughness, generator)
    samples = breathe(samples, RATE, x.breath, generator)
    samples = tilt_spectrum(samples, RATE, x.tilt + microphone_tilt)
    return put_in_room(set_level(samples, -27 + x.loudness), RATE, noise, generator)
