"""UrbanSound8K: urban sounds of at most four seconds in ten classes and ten folds (Salamon et al., ACM MM 2014).

Slices are named `<freesound recording>-<class>-<occurrence>-<slice>`. The published layout has
`metadata/UrbanSound8K.csv` and `audio/foldN/`; the other one understood is `<class>/foldN_<slice name>`. Slices of one
recording share a fold: split by fold.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found, require_listed, table_rows
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults, require_content

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

_FOLD = re.compile(r"^fold(10|[1-9])$")
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
        with faults.reported():
            if not row["fold"].isdigit() or not row["class"]:
                line = f"{table}: line {number} ({row['slice_file_name']}) has no fold or no class"
                raise MissingLabel("bad-row", line)
            path = folder / f"fold{row['fold']}" / Path(row["slice_file_name"]).name
            listed.add(path)
            require_content(path)
            salience = {"1": "foreground", "2": "background"}.get(row["salience"], "")
            extra = {"recording": row["fsID"], "salience": salience}
            clips.append(Clip(id=path.stem, path=path, event=row["class"], fold=int(row["fold"]), extra=extra))
    require_listed(folder, listed, table, faults)
    return clips


def _from_folders(root: Path, faults: Faults) -> list[Clip]:
    misnamed = "is not <class>/fold<N>_<slice>, so its fold is unknown"
    return named_clips(audio_files(root), _slice, faults, misnamed)


def _slice(path: Path) -> Clip | None:
    parts, folder = _SLICE.match(path.stem), _FOLD.match(path.parent.name)
    if parts is None or not (parts[1] or folder):
        return None
    name = path.stem.partition("_")[2] if parts[1] else path.stem
    fold = int(parts[1] or (folder and folder[1]) or 0)
    return Clip(id=name, path=path, event=CLASSES[int(parts[3])], fold=fold, extra={"recording": parts[2]})
