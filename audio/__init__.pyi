from .checking import Check, check
from .clip import LABELS, Clip
from .corpora import CORPORA, find_corpus, load_corpus
from .corpus import Corpus, Trial
from .errors import BrokenClip, CorpusError, MissingLabel, SplitError, WrongFolder
from .features import extract
from .reading import read

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
    "find_corpus",
    "load_corpus",
    "read",
]
