"""ESC-50 and its ten-class part ESC-10: environmental sounds of five seconds (Piczak, ACM Multimedia 2015).

Files are named `<fold>-<freesound recording>-<take>-<class>`. The published layout has `meta/esc50.csv` and `audio/`;
the other one understood has a folder for each class. Clips of one recording share a fold: split by fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found, require_listed, table_rows
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults, require_content

_NAME = re.compile(r"^([1-5])-(\d+)-([A-Z])(?:\d*)(?:-(\d+))?$")
_NUMBERED = re.compile(r"^\d+ - ")


def load_fifty(root: Path, faults: Faults) -> Corpus:
    """All of ESC-50."""
    return _load("esc50", "ESC-50", root, faults)


def load_ten(root: Path, faults: Faults) -> Corpus:
    """ESC-10: from its own folder, or the part of ESC-50 that `meta/esc50.csv` marks."""
    return _load("esc10", "ESC-10", root, faults)


def _load(name: str, title: str, root: Path, faults: Faults) -> Corpus:
    table = root / "meta" / "esc50.csv"
    if table.is_file():
        clips = _from_table(table, root / "audio", faults, only_ten=name == "esc10")
    else:
        clips = _from_folders(root, faults)
    if not clips:
        raise nothing_found(root, title, "meta/esc50.csv and audio/1-100032-A-0.wav, or dog_bark/1-100032-A.wav")
    return Corpus(name, tuple(clips))


def _from_table(table: Path, folder: Path, faults: Faults, only_ten: bool) -> list[Clip]:
    clips, listed = [], set()
    for number, row in table_rows(table, ("filename", "fold", "category", "esc10", "src_file", "take")):
        path = folder / Path(row["filename"]).name
        listed.add(path)
        if only_ten and row["esc10"].lower() != "true":
            continue
        with faults.reported():
            if not row["fold"].isdigit() or not row["category"]:
                raise MissingLabel("bad-row", f"{table}: line {number} ({row['filename']}) has no fold or no category")
            require_content(path)
            extra = {"recording": row["src_file"], "take": row["take"]}
            clips.append(Clip(id=path.stem, path=path, event=row["category"], fold=int(row["fold"]), extra=extra))
    require_listed(folder, listed, table, faults)
    return clips


def _from_folders(root: Path, faults: Faults) -> list[Clip]:
    def clip_of(path: Path) -> Clip | None:
        parts = _NAME.match(path.stem)
        if parts is None or path.parent == root:
            return None
        event = _NUMBERED.sub("", path.parent.name).strip().lower().replace(" ", "_")
        extra = {"recording": parts[2], "take": parts[3]}
        return Clip(id=path.stem, path=path, event=event, fold=int(parts[1]), extra=extra)

    misnamed = "is not <class>/<fold>-<recording>-<take>, so its class is unknown"
    return named_clips(audio_files(root), clip_of, faults, misnamed)
