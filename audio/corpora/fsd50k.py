"""FSD50K: 51,197 Freesound clips with labels of the AudioSet ontology (Fonseca et al., IEEE/ACM TASLP 30, 2022).

`FSD50K.ground_truth/dev.csv` (fname, labels, mids, split) and `eval.csv` (fname, labels, mids), audio in
`FSD50K.dev_audio/` and `FSD50K.eval_audio/`. A clip has several labels, the most specific one first: that is its
`event`, all of them are in the label `events`. The published split is in the label `subset`.
"""

from __future__ import annotations

from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import nothing_found, table_rows
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults, require_content

_SUBSETS = {"train": "train", "val": "validation"}


def load(root: Path, faults: Faults) -> Corpus:
    """The development and the evaluation set; one whose audio folder does not exist is left out with a remark."""
    truth = root / "FSD50K.ground_truth"
    clips: list[Clip] = []
    remarks = []
    for part, needed in (("dev", ("fname", "labels", "split")), ("eval", ("fname", "labels"))):
        folder, table = root / f"FSD50K.{part}_audio", truth / f"{part}.csv"
        if not folder.is_dir() or not table.is_file():
            remarks.append(f"left out the {part} set: {folder.name} or {table.name} is not in {root}")
            continue
        for number, row in table_rows(table, needed):
            subset = _SUBSETS.get(row["split"]) if part == "dev" else "test"
            path = _audio(folder, row["fname"])
            with faults.reported():
                if not row["labels"] or subset is None:
                    line = f"{table}: line {number} ({row['fname']}) has no labels or no known split"
                    raise MissingLabel("bad-row", line)
                require_content(path)
                event = row["labels"].split(",")[0].strip()
                extra = {"events": row["labels"], "subset": subset}
                clips.append(Clip(id=f"{part}/{row['fname']}", path=path, event=event, extra=extra))
    if not clips:
        raise nothing_found(root, "FSD50K", "FSD50K.ground_truth/dev.csv and FSD50K.dev_audio/64760.wav")
    return Corpus("fsd50k", tuple(clips), remarks=tuple(remarks))


def _audio(folder: Path, name: str) -> Path:
    flac = folder / f"{Path(name).name}.flac"
    return flac if flac.exists() else flac.with_suffix(".wav")
