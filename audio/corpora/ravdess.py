"""RAVDESS: 24 actors speak two sentences in eight emotions.

Livingstone & Russo, PLoS ONE 13(5) e0196391, 2018. A file is named by seven numbers,
modality-channel-emotion-intensity-statement-repetition-actor; even actors are women. Song is left out.

In the published speech recordings, two takes of actor 07 (03-01-03-01-02-01-07 and 03-01-03-01-02-02-07) are the
same audio. A copy carries no information and could be counted twice, so files with identical bytes are kept once.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults
from sotto.audio.reading import content_digest

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
INTENSITIES = ("normal", "strong")
STATEMENTS = ("Kids are talking by the door", "Dogs are sitting by the door")

_NAME = re.compile(r"^\d\d(-\d\d){6}$")
_SONG = re.compile(r"^\d\d-02(-\d\d){5}$")


def load(root: Path, faults: Faults) -> Corpus:
    """Every speech recording below `root` (in `Actor_XX` folders or not)."""
    files = audio_files(root)
    spoken = [path for path in files if not _SONG.match(path.stem)]
    misnamed = "is not named like a RAVDESS recording, so its emotion is unknown"
    clips = named_clips(spoken, _clip, faults, misnamed)
    if not clips:
        raise nothing_found(root, "RAVDESS", "Actor_01/03-01-05-01-02-01-01.wav")
    clips, remarks = _without_copies(clips)
    if songs := len(files) - len(spoken):
        remarks.append(f"left out {songs} song recordings: only speech is used")
    return Corpus("ravdess", tuple(clips), remarks=tuple(remarks))


def _clip(path: Path) -> Clip | None:
    if not _NAME.match(path.stem):
        return None
    _, _, emotion, intensity, statement, take, actor = (int(part) for part in path.stem.split("-"))
    for what, value, known in (
        ("emotion", emotion, EMOTIONS),
        ("intensity", intensity, INTENSITIES),
        ("statement", statement, STATEMENTS),
    ):
        if not 1 <= value <= len(known):
            raise MissingLabel("unknown-label", f"{path}: {what} {value:02d} is not one of RAVDESS' {len(known)}")
    return Clip(
        id=path.stem,
        path=path,
        speaker=f"{actor:02d}",
        sex="male" if actor % 2 else "female",
        emotion=EMOTIONS[emotion - 1],
        intensity=INTENSITIES[intensity - 1],
        sentence=f"{statement:02d}",
        transcript=STATEMENTS[statement - 1],
        extra={"take": str(take)},
    )


def _without_copies(clips: list[Clip]) -> tuple[list[Clip], list[str]]:
    """Keep the first of every set of files with the same bytes. Only files of equal size are read, so this is quick."""
    sizes = [clip.path.stat().st_size if clip.path else 0 for clip in clips]
    shared = {size for size, count in Counter(sizes).items() if count > 1}
    first: dict[str, Clip] = {}
    kept, remarks = [], []
    for clip, size in zip(clips, sizes, strict=True):
        twin = first.setdefault(content_digest(clip), clip) if size in shared else clip
        if twin is clip:
            kept.append(clip)
        else:
            remarks.append(f"dropped {clip.source}: the same audio as {twin.source}")
    return kept, remarks
