"""VoxCeleb1: interviews of 1,251 people (Nagrani, Chung & Zisserman, Interspeech 2017), `id10270/<video>/00001.wav`.

Clips are named like the published trial lists name them. The first list found of `veri_test2.txt` (the cleaned one)
and `veri_test.txt`, in the folder or in its `meta`, becomes the corpus' trials; lines are `1 <clip> <clip>` for the
same speaker and `0 <clip> <clip>` for different ones. Speakers id10270 to id10309 are the published test set.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found, table_rows, text_lines
from sotto.audio.corpus import Corpus, Trial
from sotto.audio.errors import CorpusError
from sotto.audio.faults import Faults

TRIAL_LISTS = ("veri_test2.txt", "veri_test.txt")

_SPEAKER = re.compile(r"^id(1\d{4})$")
_TEST_SPEAKERS = range(10270, 10310)
_SEXES = {"f": "female", "m": "male"}


def load(root: Path, faults: Faults) -> Corpus:
    """Every clip below `root` that lies in a speaker's and a video's folder, and the trials whose clips are there."""
    sexes = _sexes(root)

    def clip_of(path: Path) -> Clip | None:
        speaker, video = path.parent.parent.name, path.parent.name
        number = _SPEAKER.match(speaker)
        if number is None:
            return None
        subset = "test" if int(number[1]) in _TEST_SPEAKERS else "train"
        name, extra = f"{speaker}/{video}/{path.stem}", {"video": video, "subset": subset}
        return Clip(id=name, path=path, speaker=speaker, sex=sexes.get(speaker), extra=extra)

    misnamed = "is not in a folder id1xxxx/<video>, so its speaker is unknown"
    clips = named_clips(audio_files(root), clip_of, faults, misnamed)
    if not clips:
        raise nothing_found(root, "VoxCeleb1", "wav/id10270/x6uYqmx31kE/00001.wav")
    trials, remarks = _trials(root, {clip.id for clip in clips})
    return Corpus("voxceleb1", tuple(clips), trials=trials, remarks=remarks)


def _find(root: Path, name: str) -> Path | None:
    return next((path for path in (root / name, root / "meta" / name) if path.is_file()), None)


def _trials(root: Path, known: set[str]) -> tuple[tuple[Trial, ...], tuple[str, ...]]:
    table = next((path for name in TRIAL_LISTS if (path := _find(root, name))), None)
    if table is None:
        return (), (f"no trial list ({' or '.join(TRIAL_LISTS)}) in {root}",)
    trials, absent = [], 0
    for number, line in text_lines(table):
        fields = line.split()
        if len(fields) != 3 or fields[0] not in {"0", "1"}:
            raise CorpusError("bad-row", f"{table}: line {number} is not '1 <clip> <clip>' or '0 <clip> <clip>'")
        enrolment, test = (str(Path(name).with_suffix("").as_posix()) for name in fields[1:])
        if enrolment in known and test in known:
            trials.append(Trial(enrolment, test, same=fields[0] == "1"))
        else:
            absent += 1
    if not trials:
        raise CorpusError("no-usable-row", f"{table}: not one of its trials is between clips that are in {root}")
    remarks = [f"{len(trials)} trials of {table.name}"]
    if absent:
        remarks.append(f"left out {absent} trials of {table.name} whose clips are not in {root}")
    return tuple(trials), tuple(remarks)


def _sexes(root: Path) -> dict[str, str]:
    table = _find(root, "vox1_meta.csv")
    if table is None:
        return {}
    rows = (row for _, row in table_rows(table, ("VoxCeleb1 ID", "Gender"), delimiter="\t"))
    return {row["VoxCeleb1 ID"]: _SEXES[row["Gender"]] for row in rows if row["Gender"] in _SEXES}
