"""Who is in training, validation and test: index tuples that never share a speaker (or a recording).

A random split of RAVDESS puts every actor on both sides and measures how well a model knows the actor.
All splits here keep a speaker whole, are the same for the same seed, and are checked before they are returned.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np

from sotto.audio.corpus import Corpus
from sotto.audio.errors import SplitError


@dataclass(frozen=True)
class Split:
    """Positions in a corpus: `corpus.subset(split.train)`. `validation` may be empty."""

    name: str
    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]

    def __repr__(self) -> str:
        return f"<Split {self.name}: {len(self.train)} train, {len(self.validation)} validation, {len(self.test)} test>"

    def check(self, corpus: Corpus, by: str = "speaker") -> Split:
        """Return this split, having made sure that no clip and no value of the label `by` is in two parts.

        Raises
        ------
        SplitError
            an empty training or test part, an index outside the corpus, or an overlap.
        MissingLabel
            a clip has no label `by`.
        """
        if not self.train or not self.test:
            raise SplitError("empty-part", f"{corpus.name}, split {self.name}: the training or the test part is empty")
        groups = corpus.labels(by)
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        for part, indices in parts.items():
            if len(set(indices)) != len(indices) or not all(0 <= i < len(corpus) for i in indices):
                raise SplitError(
                    "bad-index", f"{corpus.name}, split {self.name}: {part} has an index twice or out of range"
                )
        for (one, first), (other, second) in combinations(parts.items(), 2):
            shared = {groups[i] for i in first} & {groups[i] for i in second}
            if shared or set(first) & set(second):
                raise SplitError(
                    "shared-speaker",
                    f"{corpus.name}, split {self.name}: {one} and {other} share the {by} {', '.join(sorted(shared))}",
                )
        return self


def speaker_split(corpus: Corpus, seed: int = 0, validation: float = 1 / 6, test: float = 1 / 4) -> Split:
    """One speaker-disjoint split.

    Parameters
    ----------
    corpus
        every clip needs a speaker.
    seed
        which speakers go where; the same seed gives the same split on every machine.
    validation
        share of the speakers in that part, rounded, at least one; 0: none.
    test
        the same of the test part, at least one.

    Raises
    ------
    SplitError
        too few speakers. MissingLabel: a clip without a speaker.
    """
    if not 0 <= validation < 1 or not 0 < test < 1 or validation + test >= 1:
        raise SplitError(
            "bad-shares", f"validation {validation} and test {test} must be shares that leave some for training"
        )
    speakers = _shuffled_speakers(corpus, seed)
    n_test = max(1, round(test * len(speakers)))
    n_validation = max(1, round(validation * len(speakers))) if validation else 0
    if n_test + n_validation >= len(speakers):
        raise SplitError(
            "too-few-speakers",
            f"{corpus.name} has {len(speakers)} speaker(s), too few to hold out {n_test} for test and "
            f"{n_validation} for validation",
        )
    held_out = set(speakers[:n_test])
    watched = set(speakers[n_test : n_test + n_validation])
    return _by_label(corpus, f"speakers-seed{seed}", "speaker", watched, held_out)


def speaker_folds(corpus: Corpus, folds: int = 6, seed: int = 0, validation: int | None = None) -> list[Split]:
    """Cross-validation over speakers: every speaker is in the test part of exactly one fold.

    Parameters
    ----------
    corpus
        every clip needs a speaker.
    folds
        at least 3.
    seed
        which speakers share a fold.
    validation
        speakers held out for validation in each fold, taken from the next fold's test speakers;
        None takes all of those, 0 none.

    Raises
    ------
    SplitError
        fewer speakers than folds. MissingLabel: a clip without a speaker.
    """
    if folds < 3:
        raise SplitError("too-few-folds", f"speaker folds need at least 3 folds, not {folds}")
    speakers = _shuffled_speakers(corpus, seed)
    if len(speakers) < folds:
        raise SplitError(
            "too-few-speakers",
            f"{corpus.name} has {len(speakers)} speaker(s), too few for {folds} speaker-disjoint folds",
        )
    bounds = [round(k * len(speakers) / folds) for k in range(folds + 1)]
    dealt = [speakers[start:end] for start, end in pairwise(bounds)]
    splits = []
    for k in range(folds):
        name = f"speakers-fold{k + 1}of{folds}-seed{seed}"
        watched = set(dealt[(k + 1) % folds][:validation])
        splits.append(_by_label(corpus, name, "speaker", watched, set(dealt[k])))
    return splits


def fold_split(corpus: Corpus, test: Collection[int] = (1,), validation: Collection[int] = ()) -> Split:
    """A split along the folds the corpus came with (ESC-50, UrbanSound8K), whose clips share recordings within a fold.

    Raises
    ------
    SplitError
        a fold is in two parts or not in the corpus. MissingLabel: a clip without a fold.
    """
    known = set(corpus.classes("fold"))
    held_out, watched = {str(k) for k in test}, {str(k) for k in validation}
    for fold in held_out | watched:
        if fold not in known:
            raise SplitError(
                "no-such-fold", f"{corpus.name} has no fold {fold}; its folds are {', '.join(sorted(known, key=int))}"
            )
    if held_out & watched:
        raise SplitError(
            "fold-twice", f"{corpus.name}: fold {min(held_out & watched)} cannot be in test and in validation"
        )
    name = "folds-test" + "+".join(sorted(held_out, key=int))
    return _by_label(corpus, name, "fold", watched, held_out)


def published_folds(corpus: Corpus) -> list[Split]:
    """Cross-validation along the corpus' own folds: each is the test part once, the next one validation."""
    folds = sorted({int(fold) for fold in corpus.classes("fold")})
    if len(folds) < 3:
        raise SplitError("too-few-folds", f"{corpus.name} has {len(folds)} fold(s), cross-validation needs at least 3")
    return [fold_split(corpus, [k], [folds[(i + 1) % len(folds)]]) for i, k in enumerate(folds)]


def published_split(corpus: Corpus) -> Split:
    """The split its authors published, where clips carry the label `subset` (train, validation, test)."""
    subsets = corpus.labels("subset")
    unknown = set(subsets) - {"train", "validation", "test"}
    if unknown:
        raise SplitError(
            "no-published-split",
            f"{corpus.name}: no published split, its subsets are {', '.join(sorted(set(subsets)))}",
        )
    split = _by_label(corpus, "published", "subset", {"validation"}, {"test"})
    return split.check(corpus, by="speaker") if corpus.has("speaker") else split


def default_split(corpus: Corpus, seed: int = 0) -> Split:
    """The split this corpus calls for: by speaker where speakers are known, else by fold, else as published."""
    choices: list[tuple[str, Callable[[], Split]]] = [
        ("speaker", lambda: speaker_split(corpus, seed)),
        ("fold", lambda: published_folds(corpus)[seed % len(corpus.classes("fold"))]),
        ("subset", lambda: published_split(corpus)),
    ]
    for label, choose in choices:
        if corpus.has(label):
            return choose()
    raise SplitError(
        "no-groups", f"{corpus.name}: clips have no speaker, fold or subset, so no honest split can be made"
    )


def _by_label(corpus: Corpus, name: str, label: str, validation: set[str], test: set[str]) -> Split:
    values = corpus.labels(label)
    held_out = validation | test
    return Split(
        name=name,
        train=tuple(i for i, value in enumerate(values) if value not in held_out),
        validation=tuple(i for i, value in enumerate(values) if value in validation),
        test=tuple(i for i, value in enumerate(values) if value in test),
    ).check(corpus, by=label)


def _shuffled_speakers(corpus: Corpus, seed: int) -> list[str]:
    """All speakers in a seeded order in which the sexes are evenly mixed, so that any run of them is balanced."""
    sex_of: dict[str, str] = {}
    for clip, speaker in zip(corpus, corpus.labels("speaker"), strict=True):
        sex_of.setdefault(speaker, clip.sex or "")
    generator = np.random.default_rng(seed)
    placed: list[tuple[float, str]] = []
    for sex in sorted(set(sex_of.values())):
        members = sorted(speaker for speaker, s in sex_of.items() if s == sex)
        order = generator.permutation(len(members))
        placed += [((place + 0.5) / len(members), members[i]) for place, i in enumerate(order)]
    return [speaker for _, speaker in sorted(placed, key=lambda item: item[0])]
