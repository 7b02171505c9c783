"""A corpus: clips with labels, the trials and remarks that belong to it, and whether people spoke it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from sotto.audio.clip import LABELS, Clip
from sotto.audio.errors import CorpusError, MissingLabel
from sotto.link import BadValue


@dataclass(frozen=True)
class Trial:
    """A speaker verification trial: do the clips with these ids have the same speaker?"""

    enrolment: str
    test: str
    same: bool


@dataclass(frozen=True)
class Corpus:
    """Clips in a fixed order.

    Attributes
    ----------
    name
        the name `load_corpus` knows it by.
    clips
        the recordings; ids are unique.
    synthetic
        True when no person spoke it. Whoever prints a score on it must print `notice` beside it.
    notice
        one line that belongs beside every score on this corpus, or None.
    trials
        the verification trials its authors published, if any.
    remarks
        one line for each thing the loader did that the files alone do not show, such as a dropped duplicate.
    """

    name: str
    clips: tuple[Clip, ...]
    synthetic: bool = False
    notice: str | None = None
    trials: tuple[Trial, ...] = ()
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.synthetic and not self.notice:
            raise BadValue("no-notice", f"{self.name}: a synthetic corpus must carry a notice that says so")
        seen: set[str] = set()
        for clip in self.clips:
            if clip.id in seen:
                raise CorpusError("id-twice", f"{clip.source}: a second clip with the id {clip.id}; ids must be unique")
            seen.add(clip.id)

    def __repr__(self) -> str:
        return f"<Corpus {self.name}, {len(self.clips)} clips{', synthetic' if self.synthetic else ''}>"

    def __len__(self) -> int:
        return len(self.clips)

    def __iter__(self) -> Iterator[Clip]:
        return iter(self.clips)

    def __getitem__(self, index: int) -> Clip:
        return self.clips[index]

    def select(self, predicate: Callable[[Clip], bool]) -> Corpus:
        """The clips for which `predicate` holds, in order; trials whose clips are gone go too."""
        return self._keep([clip for clip in self.clips if predicate(clip)])

    def subset(self, indices: Iterable[int]) -> Corpus:
        """The clips at `indices`, in that order (for instance `corpus.subset(split.test)`)."""
        return self._keep([self.clips[i] for i in indices])

    def _keep(self, clips: list[Clip]) -> Corpus:
        trials = self.trials
        if trials:
            ids = {clip.id for clip in clips}
            trials = tuple(t for t in trials if t.enrolment in ids and t.test in ids)
        return replace(self, clips=tuple(clips), trials=trials)

    def has(self, label: str) -> bool:
        """Whether every clip has `label`."""
        return bool(self.clips) and all(clip.label(label) is not None for clip in self.clips)

    def labels(self, label: str) -> list[str]:
        """The label of every clip, in order.

        Raises
        ------
        MissingLabel
            naming the first clip without one.
        """
        found = []
        for clip in self.clips:
            value = clip.label(label)
            if value is None:
                raise MissingLabel(
                    "no-label", f"{clip.source}: has no {label} label; {self.name} has {self._known_labels()}"
                )
            found.append(value)
        return found

    def classes(self, label: str) -> tuple[str, ...]:
        """The distinct values of `label`, sorted; class k of a classifier is entry k."""
        return tuple(sorted(set(self.labels(label))))

    def targets(self, label: str, classes: tuple[str, ...] | None = None) -> np.ndarray:
        """Class indices, int64 (n,), into `classes` (by default `self.classes(label)`).

        Raises
        ------
        MissingLabel
            a clip has no such label, or one that is not among `classes`.
        """
        position = {name: k for k, name in enumerate(classes or self.classes(label))}
        indices = np.empty(len(self.clips), dtype=np.int64)
        for i, (clip, value) in enumerate(zip(self.clips, self.labels(label), strict=True)):
            if value not in position:
                raise MissingLabel(
                    "unknown-label", f"{clip.source}: its {label} is {value}, expected one of {', '.join(position)}"
                )
            indices[i] = position[value]
        return indices

    @property
    def speakers(self) -> list[str]:
        """The distinct speakers, sorted. `labels("speaker")` gives the speaker of every clip."""
        return list(self.classes("speaker"))

    def _known_labels(self) -> str:
        names = [name for name in LABELS if self.has(name)]
        names += sorted(set(self.clips[0].extra)) if self.clips else []
        return ", ".join(names) or "no labels"
