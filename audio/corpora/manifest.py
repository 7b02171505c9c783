"""Any other corpus, described by a table: one row a clip, the column `path`, and one column for each label.

    path,speaker,sex,emotion,turn
    calls/0001.wav,caller17,female,angry,3

Columns named like a clip's labels (speaker, sex, emotion, intensity, sentence, transcript, digit, event, fold), in any
letter case, become those labels, `id` the clip's id, every other column a label of that name. An empty cell is a label
the clip does not have. Commas, semicolons or tabs stand between columns. Paths are relative to the table. The Let's Go
corpus, which is given out on request only, is used this way.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sotto.audio.clip import LABELS, Clip
from sotto.audio.corpora.folder import table_rows
from sotto.audio.corpus import Corpus
from sotto.audio.errors import CorpusError, MissingLabel, WrongFolder
from sotto.audio.faults import Faults, require_content

SUFFIXES = (".csv", ".tsv")
NAMES = ("manifest.csv", "manifest.tsv")


def load(root: Path, faults: Faults) -> Corpus:
    """The clips of a table: `root` itself, or `manifest.csv` or `manifest.tsv` in the folder `root`."""
    table = root if root.is_file() else next((root / name for name in NAMES if (root / name).is_file()), None)
    if table is None:
        raise WrongFolder(
            "no-manifest", f"{root}: holds no manifest.csv or manifest.tsv with a column path and columns of labels"
        )
    clips = []
    delimiter = "\t" if table.suffix.lower() == ".tsv" else ","
    for number, row in table_rows(table, ("path",), delimiter, also=("id", *LABELS)):
        with faults.reported():
            if not row["path"]:
                raise MissingLabel("no-path", f"{table}: line {number} has no path")
            path = table.parent / row["path"]
            require_content(path)
            clips.append(_clip(path, row, f"{table}: line {number} ({row['path']})"))
    if not clips:
        raise CorpusError("no-usable-row", f"{table}: has no usable rows")
    return Corpus("manifest", tuple(clips))


def _clip(path: Path, row: dict[str, str], where: str) -> Clip:
    labels: dict[str, Any] = {name: row[name] or None for name in LABELS if name in row}
    if labels.get("fold") is not None:
        if not labels["fold"].isdigit():
            raise MissingLabel("bad-row", f"{where}: fold {labels['fold']} is not a whole number")
        labels["fold"] = int(labels["fold"])
    extra = {name: value for name, value in row.items() if value and name not in {*LABELS, "path", "id"}}
    return Clip(id=row.get("id") or row["path"], path=path, extra=extra, **labels)
