"""Events and speech, cut into segments and divided so that no recording and no speaker is on two sides.

From FSD50K (dog bark, glass breaking, gun shot; the paper's) or from UrbanSound8K and ESC-10 (car horn, dog bark, gun
shot, siren), with speech from LibriSpeech, or from RAVDESS where that is all there is; or made up by
:mod:`sotto.adversarial.sounds.made_up_sounds`.  Clips of one Freesound recording stay together, across corpora too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from sotto.adversarial.sounds.made_up_sounds import CLASSES as MADE_UP
from sotto.adversarial.sounds.made_up_sounds import NOTICE, made_up_events, made_up_speech
from sotto.adversarial.sounds.segments import Events, Floats, Speech, most_energetic
from sotto.audio import Clip, CorpusError, SplitError, WrongFolder, load_corpus, read
from sotto.audio.parallel import spread

SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
SPEECH_PIECES = 4
SOURCES = ("synthetic", "urbansound8k", "fsd50k")
SPEECH_SOURCES = ("librispeech", "ravdess")

_FSD50K = {"Bark": "dog_bark", "Shatter": "glass_breaking", "Gunshot_and_gunfire": "gun_shot"}
_URBAN = {name: name for name in ("car_horn", "dog_bark", "gun_shot", "siren")}
_ESC10 = {"dog_bark": "dog_bark", "dog": "dog_bark"}


@dataclass(frozen=True, eq=False)
class Part:
    """One side of the split."""

    events: Events
    speech: Speech


@dataclass(frozen=True, eq=False)
class Material:
    """All segments of a run.

    Attributes
    ----------
    name
        the corpora they are from.
    classes
        the events.
    rate
        samples per second.
    split
        its name, with the seed.
    parts
        ``train``, ``validation`` and ``test``.
    notice
        a line that belongs beside every score, or None.
    """

    name: str
    classes: tuple[str, ...]
    rate: int
    split: str
    parts: Mapping[str, Part]
    notice: str | None = None

    def __getitem__(self, part: str) -> Part:
        return self.parts[part]

    @cached_property
    def digest(self) -> str:
        """BLAKE2b-128 of every segment and label, as hex: what trainings on it are named after."""
        digest = hashlib.blake2b(f"{self.classes} {self.rate}".encode(), digest_size=16)
        for name, part in self.parts.items():
            digest.update(name.encode())
            for array in (part.events.waveforms, part.events.event, part.speech.waveforms, part.speech.speaker):
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class _Labelled:
    """A clip with the class and the group (recording or speaker) it counts as."""

    clip: Clip
    label: str
    group: str


def open_material(
    corpus: str,
    data: Path | None,
    *,
    rate: int = 16_000,
    seed: int = 0,
    speech: str | None = None,
    skip_broken: bool = False,
) -> Material:
    """Cut and divide the segments.

    Parameters
    ----------
    corpus
        one of ``SOURCES``; where the events are from.
    data
        the folder that holds the corpora, each under its own name; not used for ``synthetic``.
    rate
        samples per second to bring everything to.
    seed
        decides the split (and the made-up sounds).
    speech
        one of ``SPEECH_SOURCES``; None takes the first that is there.

    Raises
    ------
    CorpusError
        a corpus is missing, broken, or too small to divide; one line.
    ValueError
        an unknown name.
    """
    if corpus not in SOURCES or (speech is not None and speech not in SPEECH_SOURCES):
        raise ValueError(f"events are from {', '.join(SOURCES)}, speech from {', '.join(SPEECH_SOURCES)}")
    if corpus == "synthetic":
        return made_up_material(rate=rate, seed=seed)
    events = _fsd50k(data, skip_broken) if corpus == "fsd50k" else _urban(data, skip_broken)
    spoken, spoken_name = _speech(data, speech, skip_broken)
    classes = tuple(sorted({item.label for item in events}))
    if len(classes) < 2:
        raise CorpusError(
            "too-few-classes",
            f"{data}: {corpus} holds clips of {len(classes)} of the event classes, at least 2 are needed",
        )
    sides = divide([(item.label, item.group) for item in events], seed)
    voices = divide([(item.clip.sex or "", item.group) for item in spoken], seed)
    parts = {
        name: Part(
            _cut_events([events[i] for i in sides[name]], classes, rate),
            _cut_speech([spoken[i] for i in voices[name]], rate, SPEECH_PIECES if name == "train" else 1),
        )
        for name in SHARES
    }
    return Material(f"{corpus}+{spoken_name}", classes, rate, f"recordings-and-speakers-seed{seed}", parts)


def made_up_material(*, rate: int = 16_000, seed: int = 0, events: int = 20, speakers: int = 20) -> Material:
    """Sounds that no event and no person made, ``events`` of each class; ``synthetic`` in :func:`open_material`."""
    sounds = made_up_events(rate, events, seed)
    voices = made_up_speech(rate, speakers, seed)
    sides = divide([(str(k), name) for k, name in zip(sounds.event, sounds.recording, strict=True)], seed)
    talkers = divide(list(zip(voices.gender.tolist(), voices.speaker.tolist(), strict=True)), seed)
    parts = {name: Part(sounds[np.array(sides[name])], voices[np.array(talkers[name])]) for name in SHARES}
    return Material("synthetic", MADE_UP, rate, f"recordings-and-speakers-seed{seed}", parts, NOTICE)


def divide(members: Sequence[tuple[str, str]], seed: int) -> dict[str, list[int]]:
    """Positions for each part of ``SHARES``: groups stay whole, labels are shared out evenly.

    Parameters
    ----------
    members
        (label, group) of everything that is to be divided.

    Raises
    ------
    SplitError
        a label with fewer groups than there are parts.
    """
    generator = np.random.default_rng(seed)
    home: dict[str, str] = {}
    for label in sorted({label for label, _ in members}):
        groups = sorted({group for name, group in members if name == label} - home.keys())
        if len(groups) < len(SHARES):
            raise SplitError(
                "too-few-recordings",
                f"{label or 'speech'}: {len(groups)} recording(s), at least {len(SHARES)} are needed",
            )
        sizes = {group: sum(1 for _, other in members if other == group) for group in groups}
        home |= _fill([groups[i] for i in generator.permutation(len(groups))], sizes)
    return {part: [i for i, (_, group) in enumerate(members) if home[group] == part] for part in SHARES}


def _fill(groups: Sequence[str], sizes: Mapping[str, int]) -> dict[str, str]:
    """Each group, the largest first, to the part that lacks most of its share; every part gets one."""
    total = sum(sizes.values())
    filled = dict.fromkeys(SHARES, 0)
    home: dict[str, str] = {}
    for group in sorted(groups, key=lambda name: -sizes[name]):
        part = max(SHARES, key=lambda name: SHARES[name] - filled[name] / total)
        filled[part] += sizes[group]
        home[group] = part
    for part in SHARES:
        if part not in home.values():  # a few recordings of many clips filled the others: take over the smallest
            home[min((g for g in groups if list(home.values()).count(home[g]) > 1), key=lambda g: sizes[g])] = part
    return home


def _fsd50k(data: Path | None, skip_broken: bool) -> list[_Labelled]:
    found = []
    for clip in load_corpus("fsd50k", data, skip_broken=skip_broken):
        labels = [_FSD50K[name] for name in (clip.label("events") or "").split(",") if name in _FSD50K]
        if len(set(labels)) == 1:
            found.append(_Labelled(clip, labels[0], clip.id.rpartition("/")[2]))
    return found


def _urban(data: Path | None, skip_broken: bool) -> list[_Labelled]:
    found = _events("urbansound8k", data, _URBAN, skip_broken)
    try:
        dogs = _events("esc10", data, _ESC10, skip_broken)
    except WrongFolder:
        return found  # UrbanSound8K has dogs of its own
    return found + dogs


def _events(corpus: str, data: Path | None, names: Mapping[str, str], skip_broken: bool) -> list[_Labelled]:
    clips = load_corpus(corpus, data, skip_broken=skip_broken)
    return [
        _Labelled(clip, names[clip.event], clip.label("recording") or clip.id)
        for clip in clips
        if clip.event is not None and clip.event in names
    ]


def _speech(data: Path | None, wanted: str | None, skip_broken: bool) -> tuple[list[_Labelled], str]:
    """Utterances of the first source of speech that is there, and its name."""
    faults = []
    for name in (wanted,) if wanted else SPEECH_SOURCES:
        try:
            load = _librispeech if name == "librispeech" else partial(load_corpus, "ravdess")
            clips = load(data, skip_broken=skip_broken)
        except WrongFolder as error:
            faults.append(str(error))
            continue
        return [_Labelled(clip, "", clip.speaker or clip.id) for clip in clips], name
    raise WrongFolder("nothing-found", faults[0])


def _librispeech(data: Path | None, skip_broken: bool) -> Iterable[Clip]:
    """Every LibriSpeech folder in ``data``: parts are often kept side by side."""
    beside = sorted(data.iterdir()) if data is not None and data.is_dir() else []
    folders = [entry for entry in beside if entry.is_dir() and entry.name.lower().startswith("librispeech")]
    clips: dict[str, Clip] = {}
    for folder in folders or (data,):
        for clip in load_corpus("librispeech", folder, skip_broken=skip_broken):
            clips.setdefault(clip.id, clip)
    return list(clips.values())


def _cut(clips: Sequence[Clip], rate: int, count: int, label: str) -> list[list[Floats]]:
    work = partial(_pieces, rate=rate, count=count)
    found = dict(spread(work, clips, seconds_each=0.01, label=label, jobs=1))
    return [found[place] for place in range(len(clips))]


def _pieces(clip: Clip, rate: int, count: int) -> list[Floats]:
    return most_energetic(read(clip, rate), rate, count)


def _cut_events(items: Sequence[_Labelled], classes: tuple[str, ...], rate: int) -> Events:
    pieces = _cut([item.clip for item in items], rate, 1, "cutting events")
    chosen = [(item, found[0]) for item, found in zip(items, pieces, strict=True) if found]
    return Events(
        np.stack([piece for _, piece in chosen]),
        np.array([classes.index(item.label) for item, _ in chosen], np.int64),
        np.array([item.group for item, _ in chosen]),
    )


def _cut_speech(items: Sequence[_Labelled], rate: int, count: int) -> Speech:
    pieces = _cut([item.clip for item in items], rate, count, "cutting speech")
    chosen = [(item, piece) for item, found in zip(items, pieces, strict=True) for piece in found]
    return Speech(
        np.stack([piece for _, piece in chosen]),
        np.array([item.group for item, _ in chosen]),
        np.array([item.clip.sex or "" for item, _ in chosen]),
        np.array([item.clip.id for item, _ in chosen]),
    )
