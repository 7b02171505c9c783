"""Decode every clip of a corpus and say what is wrong with it: the work of `sotto corpus check`."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass

from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.errors import BrokenClip
from sotto.audio.parallel import spread
from sotto.audio.reading import content_digest, decode

_log = logging.getLogger("sotto")


@dataclass(frozen=True)
class Check:
    """What decoding a whole corpus found.

    Attributes
    ----------
    corpus
        what was checked.
    broken
        by clip id, one line each that names the file.
    seconds
        of sound in the clips that decode.
    rates
        how many clips have which sampling rate.
    copies
        sets of clip ids with identical content, which a split could put on both sides.
    """

    corpus: Corpus
    broken: dict[str, str]
    seconds: float
    rates: dict[int, int]
    copies: tuple[tuple[str, ...], ...]

    def sound(self) -> Corpus:
        """The corpus without the broken clips."""
        return self.corpus.select(lambda clip: clip.id not in self.broken)

    def report_and_drop(self) -> Corpus:
        """`sound()`, with one warning in the log for each clip that is left out.

        Raises
        ------
        BrokenClip
            not one clip can be decoded.
        """
        for line in self.broken.values():
            _log.warning("skipped: %s", line)
        if len(self.broken) == len(self.corpus):
            raise BrokenClip(
                "no-usable-clip", f"{self.corpus.name}: none of its {len(self.corpus)} clips can be decoded"
            )
        return self.sound()


@dataclass(frozen=True)
class _Finding:
    fault: str | None
    rate: int = 0
    seconds: float = 0.0
    digest: str = ""


def check(corpus: Corpus, *, jobs: int | None = None) -> Check:
    """Decode every clip once. Faults are returned, not raised."""
    findings: list[_Finding] = [_Finding("not checked")] * len(corpus)
    work = spread(_examine, corpus.clips, seconds_each=0.004, label="checking", jobs=jobs)
    for position, finding in work:
        findings[position] = finding
    same: dict[str, list[str]] = {}
    for clip, finding in zip(corpus, findings, strict=True):
        if finding.fault is None:
            same.setdefault(finding.digest, []).append(clip.id)
    return Check(
        corpus=corpus,
        broken={clip.id: f.fault for clip, f in zip(corpus, findings, strict=True) if f.fault is not None},
        seconds=sum(f.seconds for f in findings),
        rates=dict(Counter(f.rate for f in findings if f.fault is None)),
        copies=tuple(tuple(ids) for ids in same.values() if len(ids) > 1),
    )


def _examine(clip: Clip) -> _Finding:
    try:
        samples, rate = decode(clip)
        return _Finding(None, rate, samples.size / rate, content_digest(clip))
    except BrokenClip as error:
        return _Finding(str(error))
