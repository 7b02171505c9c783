"""Speech and sound: corpora of labelled clips, splits that keep speakers apart, and cached features.

Nothing here is secret from the machine it runs on: Alice uses it on her own recordings, Bob on what he trains with.
The cache (`sotto.audio.cache`) holds features of the recordings it has seen, unencrypted, in the user's cache folder;
whoever can read that folder learns them. Set SOTTO_CACHE to keep it elsewhere, delete the folder to forget it.
"""

from sotto.audio.checking import Check, check
from sotto.audio.clip import LABELS, Clip
from sotto.audio.corpora import CORPORA, load_corpus
from sotto.audio.corpus import Corpus, Trial
from sotto.audio.errors import BrokenClip, CorpusError, MissingLabel, SplitError, WrongFolder
from sotto.audio.features import extract
from sotto.audio.reading import read

__all__ = [
    "CORPORA",
    "LABELS",
    "BrokenClip",
    "Check",
    "Clip",
    "Corpus",
    "CorpusError",
    "MissingLabel",
    "SplitError",
    "Trial",
    "WrongFolder",
    "check",
    "extract",
    "load_corpus",
    "read",
]
