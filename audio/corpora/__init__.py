"""The corpora this package can load, by name, and `load_corpus`, which finds one on disk."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from audio import synthetic
from audio.checking import check
from audio.corpora import ravdess
from audio.corpora.faults import Faults
from audio.corpora.folder import resolve
from audio.corpus import Corpus
from audio.errors import CorpusError

_log = logging.getLogger("sotto")


@dataclass(frozen=True)
class Source:
    """What is known about a corpus before it is loaded.

    Attributes:
        title: its proper name.
        folders: names its folder goes by inside a folder of several corpora.
        labels: which labels its clips have.
        licence: of the recordings; none of them is part of this project.
        origin: where it is published.
        load: reads the corpus from its own folder.
        built_in: makes or finds the corpus when no folder is named; None for recordings.
    """

    title: str
    folders: tuple[str, ...]
    labels: tuple[str, ...]
    licence: str
    origin: str
    load: Callable[[Path, Faults], Corpus]
    built_in: Callable[[], Corpus] | None = None


CORPORA: dict[str, Source] = {
    "ravdess": Source(
        title="RAVDESS speech",
        folders=("ravdess", "ravdess_speech", "audio_speech_actors_01_24"),
        labels=("speaker", "sex", "emotion", "intensity", "sentence", "transcript"),
        licence="CC BY-NC-SA 4.0",
        origin="https://zenodo.org/records/1188976",
        load=ravdess.load,
    ),
    "synthetic": Source(
        title="the synthetic corpus",
        folders=("synthetic",),
        labels=("speaker", "sex", "emotion", "sentence", "transcript"),
        licence="made on this machine",
        origin="espeak-ng",
        load=synthetic.load,
        built_in=synthetic.built_in,
    ),
}


def load_corpus(name: str, root: Path | None = None, *, skip_broken: bool = False) -> Corpus:
    """Load a corpus without decoding its audio.

    Args:
        name: a key of `CORPORA`.
        root: the folder of that corpus, or a folder that holds several corpora each under its own name.
        skip_broken: leave out files that are damaged or lack a label, with a warning each, instead of stopping at
            the first. This decodes everything once, because only that shows damage.

    Raises:
        CorpusError: unknown name, wrong folder, or a file that cannot be used; one line that names it.
    """
    if name not in CORPORA:
        raise CorpusError(f"no corpus is called {name}; known are {', '.join(CORPORA)}")
    source = CORPORA[name]
    if root is None and source.built_in is not None:
        return source.built_in()
    corpus = source.load(resolve(root, source.title, source.folders), Faults(skip_broken))
    for remark in corpus.remarks:
        _log.info("%s: %s", name, remark)
    return check(corpus).report_and_drop() if skip_broken else corpus
