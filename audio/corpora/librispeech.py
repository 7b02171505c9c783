"""LibriSpeech: read English speech (Panayotov et al., ICASSP 2015), named `<speaker>-<chapter>-<utterance>`.

Understood are the published layout (`train-clean-100/19/198/19-198-0000.flac` beside `19-198.trans.txt`), and any other
arrangement of files with those names, with transcripts in `transcripts.tsv` (path, tab, text) or without any.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found, text_lines
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults

_NAME = re.compile(r"^(\d+)-(\d+)-(\d+)$")
_PART = re.compile(r"^(train|dev|test)-(clean|other)")
_SUBSETS = {"train": "train", "dev": "validation", "test": "test"}
_SEXES = {"F": "female", "M": "male"}


def load(root: Path, faults: Faults) -> Corpus:
    """Every utterance below `root`.

    A clip's label `part` is its LibriSpeech subset, such as test-other, and `subset` is train, validation or test.
    Where there are transcripts at all, an utterance without one is a fault.
    """
    transcripts = _transcripts(root)
    sexes = _sexes(root)

    def clip_of(path: Path) -> Clip | None:
        parts = _NAME.match(path.stem)
        if parts is None:
            return None
        if transcripts and path.stem not in transcripts:
            raise MissingLabel("no-transcript", f"{path}: has no transcript in a .trans.txt or transcripts.tsv file")
        return _clip(path, root, parts, transcripts.get(path.stem), sexes.get(parts[1]))

    misnamed = "is not named <speaker>-<chapter>-<utterance>, so its speaker is unknown"
    clips = named_clips(audio_files(root), clip_of, faults, misnamed)
    if not clips:
        raise nothing_found(root, "LibriSpeech", "test-other/1688/142285/1688-142285-0000.flac")
    return Corpus("librispeech", tuple(clips))


def _clip(path: Path, root: Path, parts: re.Match[str], transcript: str | None, sex: str | None) -> Clip:
    extra = {"chapter": parts[2]}
    for folder in path.relative_to(root).parts[:-1] or (root.name,):
        found = _PART.match(folder)
        if found:
            extra |= {"part": found[0], "subset": _SUBSETS[found[1]]}
    return Clip(id=path.stem, path=path, speaker=parts[1], sex=sex, transcript=transcript, extra=extra)


def _transcripts(root: Path) -> dict[str, str]:
    """Utterance to text, from every `*.trans.txt` and `transcripts.tsv` below `root`."""
    found: dict[str, str] = {}
    separators = {"*.trans.txt": " ", "transcripts.tsv": "\t"}
    for pattern, separator in separators.items():
        for table in sorted(root.rglob(pattern)):
            for number, line in text_lines(table):
                name, _, text = line.partition(separator)
                utterance = Path(name).stem
                if not _NAME.match(utterance) or not text.strip():
                    raise MissingLabel("bad-row", f"{table}: line {number} is not an utterance and its text")
                found[utterance] = text.strip()
    return found


def _sexes(root: Path) -> dict[str, str]:
    """Speaker to sex, from SPEAKERS.TXT (or a part of it) in `root` or the folder above."""
    for table in [*sorted(root.glob("SPEAKERS*")), *sorted(root.parent.glob("SPEAKERS*"))]:
        rows = (line.split("|") for _, line in text_lines(table) if not line.startswith(";"))
        return {row[0].strip(): _SEXES[row[1].strip()] for row in rows if len(row) > 1 and row[1].strip() in _SEXES}
    return {}
