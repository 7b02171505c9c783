"""UrbanSound8K: urban sounds of at most four seconds in ten classes and ten folds (Salamon et al., ACM MM 2014).

Slices are named `<freesound recording>-<class>-<occurrence>-<slice>`. The published layout has
`metadata/UrbanSound8K.csv` and `audio/foldN/`; the other one understood is `<class>/foldN_<slice name>`. Slices of one
recording share a fold: split by fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, nothing_found, table_rows
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults

CLASSES = (
    "air_conditioner",
    "car_horn",
    "children_playing",
    "dog_bark",
    "drilling",
    "engine_idling",
    "gun_shot",
    "jackhammer",
    "siren",
    "street_music",
)

_SLICE = re.compile(r"^(?:fold(10|[1-9])_)?(\d+)-(\d)-(\d+)-(\d+)$")


def load(root: Path, faults: Faults) -> Corpus:
    """Every slice, from the table or from the folders."""
    table = root / "metadata" / "UrbanSound8K.csv"
    clips = _from_table(table, root / "audio", faults) if table.is_file() else _from_folders(root, faults)
    if not clips:
        expected = "metadata/UrbanSound8K.csv and audio/fold1/101415-3-0-2.wav, or dog_bark/fold1_101415-3-0-2.wav"
        raise nothing_found(root, "UrbanSound8K", expected)
    return Corpus("urbansound8k", tuple(clips))


def _from_table(table: Path, folder: Path, faults: Faults) -> list[Clip]:
    clips, listed = [], set()
    for number, row in table_rows(table, ("slice_file_name", "fsID", "salience", "fold", "class")):
        if not row["fold"].isdigit() or not row["class"]:
            faults.report(
                MissingLabel("bad-row", f"{table}: line {number} ({row['slice_file_name']}) has no fold or no class")
            )
            continue
        path = folder / f"fold{row['fold']}" / Path(row["slice_file_name"]).name
        listed.add(path)
        if faults.usable(path):
            extra = {
                "recording": row["fsID"],
                "salience": {"1": "foreground", "2": "background"}.get(row["salience"], ""),
            }
            clips.append(Clip(id=path.stem, path=path, event=row["class"], fold=int(row["fold"]), extra=extra))
    for path in audio_files(folder):
        if path not in listed:
            faults.report(MissingLabel("not-in-table", f"{path}: is not in {table.name}, so its class is unknown"))
    return clips


def _from_folders(root: Path, faults: Faults) -> list[Clip]:
    clips, strangers = [], []
    for path in audio_files(root):
        parts = _SLICE.match(path.stem)
        fold = parts and (parts[1] or _fold_of_folder(path.parent.name))
        if parts is None or not fold:
            strangers.append(path)
        elif faults.usable(path):
            name = path.stem.partition("_")[2] if parts[1] else path.stem
            extra = {"recording": parts[2]}
            clips.append(Clip(id=name, path=path, event=CLASSES[int(parts[3])], fold=int(fold), extra=extra))
    if clips:
        for path in strangers:
            faults.report(MissingLabel("file-name", f"{path}: is not <class>/fold<N>_<slice>, so its fold is unknown"))
    return clips


def _fold_of_folder(name: str) -> str | None:
    found = re.fullmatch(r"fold(10|[1-9])", name)
    return found[1] if found else None
