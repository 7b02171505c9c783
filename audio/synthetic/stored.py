"""The synthetic corpus on disk: made on first use, checked file by file whenever it is loaded."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path, PurePosixPath

import msgspec

from sotto.audio import cache
from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.errors import BrokenClip, CorpusError, WrongFolder
from sotto.audio.faults import Faults
from sotto.audio.synthetic.recipe import FORMAT, digest, recipe
from sotto.link.storage import remove_stale_partials

_log = logging.getLogger("sotto")

NOTICE = "synthetic corpus: spoken by espeak-ng with emotion added by rule; its scores say nothing about human speech"
"""Stands beside every score on this corpus."""


class _Row(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    file: str
    speaker: str
    sex: str
    emotion: str
    sentence: str
    transcript: str
    digest: str


class _Manifest(msgspec.Struct):
    format: str
    recipe: int
    seed: int
    clips: list[_Row]


BRIEF = 2
"""Sentences of each voice and emotion in the brief corpus."""


def built_in(seed: int = 0, *, brief: bool = False, jobs: int | None = None) -> Corpus:
    """The corpus for `seed`, made on first use (well under a minute) and kept in the cache.

    `brief`: with its first two sentences alone, half as many clips.

    Raises
    ------
    CorpusError
        it cannot be made.
    """
    sentences = BRIEF if brief else None
    folder = cache.root() / "synthetic" / cache.key_of(recipe(seed, sentences))
    remove_stale_partials(folder.parent)
    if folder.exists():
        try:
            corpus = load(folder, Faults())
        except CorpusError as error:
            _log.warning("synthetic: made again, because the cached one is damaged (%s)", error)
            shutil.rmtree(folder, ignore_errors=True)
        else:
            _log.info("synthetic: reused the cached corpus of %d clips", len(corpus))
            return corpus
    from sotto.audio.synthetic.making import (
        make,  # here, because the signal processing is slow to import and rarely needed
    )

    make(folder, seed, sentences=sentences, jobs=jobs)
    return load(folder, Faults())


def load(root: Path, faults: Faults) -> Corpus:
    """A corpus that `make` wrote. Every file is compared with the digest in the manifest.

    Raises
    ------
    WrongFolder
        no manifest of this format. BrokenClip: a file is missing or not the one that was written.
    """
    manifest = _read_manifest(root / "manifest.json")
    clips = []
    for row in manifest.clips:
        inside = PurePosixPath(row.file)
        if inside.is_absolute() or ".." in inside.parts:
            raise CorpusError(
                "outside-folder", f"{root / 'manifest.json'}: names a file outside its folder ({row.file})"
            )
        path = root / inside
        if not path.is_file() or digest(path) != row.digest:
            faults.report(
                BrokenClip("not-as-described", f"{path}: is missing or not the file that the manifest describes")
            )
            continue
        clips.append(
            Clip(
                id=row.id,
                path=path,
                speaker=row.speaker,
                sex=row.sex,
                emotion=row.emotion,
                sentence=row.sentence,
                transcript=row.transcript,
            )
        )
    return Corpus("synthetic", tuple(clips), synthetic=True, notice=NOTICE)


def _read_manifest(path: Path) -> _Manifest:
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=_Manifest)
    except FileNotFoundError:
        raise WrongFolder(
            "no-manifest",
            f"{path.parent}: holds no synthetic corpus (no manifest.json); without --data the built-in one is used",
        ) from None
    except OSError as error:
        raise CorpusError("cannot-read", f"{path}: cannot be read ({error.strerror or error})") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise CorpusError("not-a-manifest", f"{path}: is not a manifest of the synthetic corpus ({error})") from None
    if manifest.format != FORMAT or not manifest.clips:
        raise CorpusError("not-a-manifest", f"{path}: is not a manifest of the synthetic corpus")
    return manifest
