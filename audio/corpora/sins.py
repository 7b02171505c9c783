"""SINS: a week in a holiday home, heard by thirteen microphone arrays (Dekkers et al., DCASE Workshop 2017).

Understood are its two published forms.

The recordings themselves: files of about a minute, `Node1_20170130_043836_435_audio.wav`, named after the time they
start, and `annotation/<room>_labels.csv` (Class; Start time; Stop time) of the SINS repository. A recording is labelled
with the activity of its node's room if it lies within that activity; recordings across a change, or marked "dont use",
are left out. The time stamps are those of the recorder and good to about half a second, so a second at each end is not
trusted. Recordings of one day hear each other through the walls and are alike: the day is the fold.

The DCASE 2018 Task 5 development set: `meta.txt` (file, label, session) and segments `audio/DevNode1_ex1_1.wav`; a
segment's fold is the one whose `evaluation_setup/foldN_test.txt` lists it.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import soundfile

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, nothing_found, table_rows, text_lines
from sotto.audio.corpus import Corpus
from sotto.audio.errors import BrokenClip, CorpusError, MissingLabel
from sotto.audio.faults import Faults, require_content

ROOMS = {1: "living", 2: "living", 3: "living", 4: "living", 6: "living", 7: "living", 8: "living",
         9: "bedroom", 10: "bedroom", 11: "wcroom", 12: "hall", 13: "bathroom"}  # fmt: skip
"""Which room each node was in (node 5 failed), as in github.com/fgnt/sins."""

_NAME = re.compile(r"^Node(\d+)_(\d{8})_(\d{6})_(\d{1,3})_audio$")
_SEGMENT = re.compile(r"^\w*Node(\d+)_ex(\d+)_(\d+)$")
_MARGIN = timedelta(seconds=1)
_UNUSABLE = "dont use"

Activities = list[tuple[datetime, datetime, str]]


def load(root: Path, faults: Faults) -> Corpus:
    """The recordings with their room's annotation, or the DCASE 2018 segments, whichever is in `root`."""
    if (root / "meta.txt").is_file():
        return _segments(root, faults)
    return _recordings(root, faults)


def _recordings(root: Path, faults: Faults) -> Corpus:
    found = [(path, parts) for path in audio_files(root) if (parts := _NAME.match(path.stem))]
    if not found:
        raise nothing_found(root, "SINS", "audio/Node1/audio/Node1_20170130_043836_435_audio.wav or meta.txt")
    activities: dict[str, Activities] = {}
    days = sorted({parts[2] for _, parts in found})
    clips, between = [], 0
    for path, parts in found:
        node = int(parts[1])
        room = ROOMS.get(node)
        if room and room not in activities:
            activities[room] = _activities(root, room)
        with faults.reported():
            if room is None:
                raise MissingLabel(
                    "unknown-label", f"{path}: node {node} is in no known room, so its activity is unknown"
                )
            require_content(path)
            event = _activity(path, parts, activities[room])
            if event is None:
                between += 1
                continue
            extra = {"node": parts[1], "room": room, "day": parts[2]}
            clips.append(Clip(id=path.stem, path=path, event=event, fold=days.index(parts[2]) + 1, extra=extra))
    if not clips:
        raise CorpusError(
            "nothing-annotated", f"{root}: none of its {len(found)} SINS recordings lies within one annotated activity"
        )
    return Corpus("sins", tuple(clips), remarks=(f"left out {between} recordings that are not within one activity",))


def _activities(root: Path, room: str) -> Activities:
    name = f"{room}_labels.csv"
    places = [root / "annotation" / name, root / "example_code" / "annotation" / name, root / name]
    table = next((path for path in places if path.is_file()), None)
    if table is None:
        raise MissingLabel(
            "no-annotations", f"{places[0]}: no such file; it is in the repository KULeuvenADVISE/SINS_database"
        )
    columns = ("Class", "Start time", "Stop time")
    activities = []
    for number, row in table_rows(table, columns, delimiter=";"):
        try:
            start, stop = (datetime.fromisoformat(row[column]) for column in columns[1:])
        except ValueError:
            raise CorpusError("bad-row", f"{table}: line {number} has no times like 2017-01-30 04:40:26.368") from None
        activities.append((start, stop, row["Class"]))
    return activities


def _activity(path: Path, parts: re.Match[str], activities: Activities) -> str | None:
    """The activity that the recording lies within; None when there is none."""
    try:
        start = datetime.strptime(f"{parts[2]}{parts[3]}", "%Y%m%d%H%M%S") + timedelta(milliseconds=int(parts[4]))
    except ValueError:
        line = f"{path}: its name is not a date and time, so its activity is unknown"
        raise MissingLabel("file-name", line) from None
    try:
        stop = start + timedelta(seconds=soundfile.info(path).duration)
    except (soundfile.SoundFileError, OSError):
        raise BrokenClip("cannot-decode", f"{path}: cannot be decoded as audio") from None
    earliest, latest = start - _MARGIN, stop + _MARGIN
    touched = [activity for activity in activities if activity[0] < latest and earliest < activity[1]]
    if len(touched) != 1 or touched[0][0] > earliest or latest > touched[0][1] or touched[0][2] == _UNUSABLE:
        return None
    return touched[0][2]


def _segments(root: Path, faults: Faults) -> Corpus:
    folds = _folds(root)
    clips = []
    meta = root / "meta.txt"
    for number, line in text_lines(meta):
        fields = [field.strip() for field in line.split("\t")]
        parts = _SEGMENT.match(Path(fields[0]).stem)
        with faults.reported():
            if len(fields) < 3 or not all(fields[:3]) or parts is None:
                raise MissingLabel("bad-row", f"{meta}: line {number} is not a segment, its label and its session")
            path = root / "audio" / Path(fields[0]).name
            require_content(path)
            extra = {"node": parts[1], "session": fields[2]}
            clips.append(Clip(id=path.stem, path=path, event=fields[1], fold=folds.get(path.name), extra=extra))
    if not clips:
        raise nothing_found(root, "SINS", "audio/DevNode1_ex1_1.wav")
    return Corpus("sins", tuple(clips))


def _folds(root: Path) -> dict[str, int]:
    folds = {}
    for k in range(1, 5):
        table = root / "evaluation_setup" / f"fold{k}_test.txt"
        if table.is_file():
            lines = table.read_text(encoding="utf-8", errors="replace").splitlines()
            folds.update({Path(line.split("\t")[0].strip()).name: k for line in lines if line.strip()})
    return folds
