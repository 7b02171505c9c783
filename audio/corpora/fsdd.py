"""FSDD, the Free Spoken Digit Dataset: English digits at 8 kHz, named `<digit>_<speaker>_<take>`.

Its authors hold out takes 0 to 4 for test, which leaves every speaker on both sides. That split is in the label
`take_split`; the splits of this package keep speakers apart, and there are only six of them.
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found
from sotto.audio.corpus import Corpus
from sotto.audio.faults import Faults

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
MEN = frozenset({"george", "jackson", "lucas", "nicolas", "theo", "yweweler"})

_NAME = re.compile(r"^(\d)_([A-Za-z0-9]+)_(\d+)$")


def load(root: Path, faults: Faults) -> Corpus:
    """Every recording below `root` (in a `recordings` folder or not)."""
    misnamed = "is not named <digit>_<speaker>_<take>, so its digit is unknown"
    clips = named_clips(audio_files(root), _clip, faults, misnamed)
    if not clips:
        raise nothing_found(root, "FSDD", "recordings/7_jackson_32.wav")
    return Corpus("fsdd", tuple(clips))


def _clip(path: Path) -> Clip | None:
    parts = _NAME.match(path.stem)
    if parts is None:
        return None
    digit, speaker, take = parts.groups()
    return Clip(
        id=path.stem,
        path=path,
        speaker=speaker,
        sex="male" if speaker in MEN else None,
        digit=digit,
        transcript=WORDS[int(digit)],
        extra={"take": take, "take_split": "test" if int(take) < 5 else "train"},
    )
