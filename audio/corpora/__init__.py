"""The corpora this package can load, by name; `find_corpus` finds one on disk, and `load_corpus` loads it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sotto.audio import synthetic
from sotto.audio.checking import check
from sotto.audio.corpora import (
    emodb,
    esc50,
    fsd50k,
    fsdd,
    librispeech,
    manifest,
    ravdess,
    sins,
    urbansound8k,
    voxceleb1,
)
from sotto.audio.corpora.folder import resolve
from sotto.audio.corpus import Corpus
from sotto.audio.errors import CorpusError
from sotto.audio.faults import Faults

_log = logging.getLogger("sotto")


@dataclass(frozen=True)
class Source:
    """What is known about a corpus before it is loaded.

    Attributes
    ----------
    title
        its proper name.
    folders
        names its folder goes by inside a folder of several corpora.
    labels
        which labels its clips have.
    licence
        of the recordings; none of them is part of this project.
    origin
        where it is published.
    load
        reads the corpus from its own folder.
    built_in
        makes or finds the corpus when no folder is named; None for recordings.
    """

    title: str
    folders: tuple[str, ...]
    labels: tuple[str, ...]
    licence: str
    origin: str
    load: Callable[[Path, Faults], Corpus]
    built_in: Callable[..., Corpus] | None = None


CORPORA: dict[str, Source] = {
    "synthetic": Source(
        title="synthetic corpus",
        folders=("synthetic",),
        labels=("speaker", "sex", "emotion", "sentence", "transcript"),
        licence="made on this machine",
        origin="https://github.com/espeak-ng/espeak-ng",
        load=synthetic.load,
        built_in=synthetic.built_in,
    ),
    "ravdess": Source(
        title="RAVDESS speech",
        folders=("ravdess", "ravdess_speech", "audio_speech_actors_01_24"),
        labels=("speaker", "sex", "emotion", "intensity", "sentence", "transcript"),
        licence="CC BY-NC-SA 4.0",
        origin="https://zenodo.org/records/1188976",
        load=ravdess.load,
    ),
    "emodb": Source(
        title="EmoDB",
        folders=("emodb", "emo_db", "berlin_emodb"),
        labels=("speaker", "sex", "emotion", "sentence", "transcript"),
        licence="CC0 1.0 since its 2022 release, unstated before",
        origin="https://zenodo.org/records/7447302",
        load=emodb.load,
    ),
    "fsdd": Source(
        title="FSDD",
        folders=("fsdd", "free_spoken_digit_dataset", "free_spoken_digit_dataset_master"),
        labels=("speaker", "sex", "digit", "transcript"),
        licence="CC BY-SA 4.0",
        origin="https://github.com/Jakobovski/free-spoken-digit-dataset",
        load=fsdd.load,
    ),
    "librispeech": Source(
        title="LibriSpeech",
        folders=("librispeech",),
        labels=("speaker", "sex", "transcript", "chapter", "part", "subset"),
        licence="CC BY 4.0",
        origin="https://www.openslr.org/12",
        load=librispeech.load,
    ),
    "voxceleb1": Source(
        title="VoxCeleb1",
        folders=("voxceleb1", "voxceleb", "vox1"),
        labels=("speaker", "sex", "video", "subset"),
        licence="CC BY 4.0 for the annotation; the recordings belong to their uploaders",
        origin="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
        load=voxceleb1.load,
    ),
    "esc50": Source(
        title="ESC-50",
        folders=("esc50", "esc50master"),
        labels=("event", "fold", "recording", "take"),
        licence="CC BY-NC 3.0",
        origin="https://github.com/karolpiczak/ESC-50",
        load=esc50.load_fifty,
    ),
    "esc10": Source(
        title="ESC-10",
        folders=("esc10", "esc10master", "esc50", "esc50master"),
        labels=("event", "fold", "recording", "take"),
        licence="CC BY 3.0",
        origin="https://github.com/karolpiczak/ESC-10",
        load=esc50.load_ten,
    ),
    "urbansound8k": Source(
        title="UrbanSound8K",
        folders=("urbansound8k", "us8k"),
        labels=("event", "fold", "recording"),
        licence="CC BY-NC 3.0",
        origin="https://urbansounddataset.weebly.com/urbansound8k.html",
        load=urbansound8k.load,
    ),
    "fsd50k": Source(
        title="FSD50K",
        folders=("fsd50k",),
        labels=("event", "events", "subset"),
        licence="CC BY 4.0; clips CC0, CC BY, CC BY-NC or Sampling+",
        origin="https://zenodo.org/records/4060432",
        load=fsd50k.load,
    ),
    "sins": Source(
        title="SINS",
        folders=("sins", "sins_database", "dcase2018_task5_dev"),
        labels=("event", "fold", "node"),
        licence="as stated in each of its repositories",
        origin="https://github.com/KULeuvenADVISE/SINS_database",
        load=sins.load,
    ),
    "manifest": Source(
        title="corpus with a manifest",
        folders=("manifest",),
        labels=("whatever its columns are",),
        licence="yours to know",
        origin="a table with a column path and columns of labels",
        load=manifest.load,
    ),
}


def find_corpus(name: str, root: Path | str | None = None) -> tuple[Source, Path | None]:
    """What is known about a corpus, and its folder or table, None for one that is built in; nothing is read.

    Takes and raises what :func:`load_corpus` does.
    """
    if root is None and Path(name).suffix.lower() in manifest.SUFFIXES:
        name, root = "manifest", Path(name)
        if not root.is_file():
            raise CorpusError(
                "no-table", f"{root}: no such table; it has one row a clip, the column path and columns of labels"
            )
    source = CORPORA.get(name.lower())
    if source is None:
        raise CorpusError("unknown-corpus", f"no corpus is called {name}; known are {', '.join(CORPORA)}")
    if root is None and source.built_in is not None:
        return source, None
    root = None if root is None else Path(root)
    if root is not None and source.load is manifest.load and root.is_file():
        return source, root
    others = tuple(folder for known in CORPORA.values() for folder in known.folders if folder not in source.folders)
    return source, resolve(root, source.title, source.folders, others)


def load_corpus(name: str, root: Path | str | None = None, *, skip_broken: bool = False, brief: bool = False) -> Corpus:
    """Load a corpus without decoding its audio.

    Parameters
    ----------
    name
        a key of `CORPORA`, or the table of a corpus of one's own: a path that ends in .csv or .tsv.
    root
        the folder of that corpus, or a folder that holds several corpora each under its own name; for
        "manifest" also the table itself. Without it, "synthetic" is the built-in corpus.
    skip_broken
        leave out files that are damaged or lack a label, with a warning each, instead of stopping at
        the first. This decodes everything once, because only that shows damage.
    brief
        half of the corpus, where it is built in and each clip takes its time; others are loaded whole.

    Raises
    ------
    CorpusError
        unknown name, wrong folder, or a file that cannot be used; one line that names it.
    """
    source, folder = find_corpus(name, root)
    if folder is None:
        return cast("Callable[..., Corpus]", source.built_in)(brief=brief)
    corpus = source.load(folder, Faults(skip_broken))
    for remark in corpus.remarks:
        _log.info("%s: %s", name, remark)
    return check(corpus).report_and_drop() if skip_broken else corpus
