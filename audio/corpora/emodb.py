"""EmoDB, the Berlin database of emotional speech: ten actors, ten German sentences, seven emotions.

Burkhardt et al., Interspeech 2005. In `03a01Fa.wav` come the speaker (03), the sentence (a01), the initial of the
German word for the emotion (F, Freude) and the version (a).
"""

from __future__ import annotations

import re
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.corpora.folder import audio_files, named_clips, nothing_found
from sotto.audio.corpus import Corpus
from sotto.audio.errors import MissingLabel
from sotto.audio.faults import Faults

EMOTIONS = {
    "W": "angry",
    "L": "bored",
    "E": "disgust",
    "A": "fearful",
    "F": "happy",
    "T": "sad",
    "N": "neutral",
}
WOMEN = frozenset({"08", "09", "13", "14", "16"})
MEN = frozenset({"03", "10", "11", "12", "15"})
SENTENCES = {
    "a01": "Der Lappen liegt auf dem Eisschrank",
    "a02": "Das will sie am Mittwoch abgeben",
    "a04": "Heute abend könnte ich es ihm sagen",
    "a05": "Das schwarze Stück Papier befindet sich da oben neben dem Holzstück",
    "a07": "In sieben Stunden wird es soweit sein",
    "b01": "Was sind denn das für Tüten, die da unter dem Tisch stehen",
    "b02": "Sie haben es gerade hochgetragen und jetzt gehen sie wieder runter",
    "b03": "An den Wochenenden bin ich jetzt immer nach Hause gefahren und habe Agnes besucht",
    "b09": "Ich will das eben wegbringen und dann mit Karl was trinken gehen",
    "b10": "Die wird auf dem Platz sein, wo wir sie immer hinlegen",
}

_NAME = re.compile(r"^(\d\d)([ab]\d\d)([A-Z])([a-z])$")


def load(root: Path, faults: Faults) -> Corpus:
    """Every recording below `root` (in a `wav` folder or not)."""
    misnamed = "is not named like an EmoDB recording, so its emotion is unknown"
    clips = named_clips(audio_files(root), _clip, faults, misnamed)
    if not clips:
        raise nothing_found(root, "EmoDB", "wav/03a01Fa.wav")
    return Corpus("emodb", tuple(clips))


def _clip(path: Path) -> Clip | None:
    parts = _NAME.match(path.stem)
    if parts is None:
        return None
    speaker, sentence, emotion, version = parts.groups()
    if emotion not in EMOTIONS:
        raise MissingLabel("unknown-label", f"{path}: emotion {emotion} is not one of EmoDB's {', '.join(EMOTIONS)}")
    if speaker not in WOMEN | MEN:
        raise MissingLabel("unknown-label", f"{path}: speaker {speaker} is not one of EmoDB's ten")
    return Clip(
        id=path.stem,
        path=path,
        speaker=speaker,
        sex="female" if speaker in WOMEN else "male",
        emotion=EMOTIONS[emotion],
        sentence=sentence,
        transcript=SENTENCES.get(sentence),
        extra={"version": version},
    )
