"""Labelled training hashes: what those who hold the key give the server that trains.

The server must not have the key, so whoever has labelled speech and the key hashes it (:func:`training_hashes`) and
hands over this set. Several parties that share one key, without trusting one another or the server with their speech,
can pool their sets (:func:`join`): the paper's secure joint learning (Dias, Abad, Trancoso, §4.2.3).

The server learns the labels, which hashes are of one speaker (numbers, not names) where speakers are given, and the
distances among close hashes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.hashing.classification.svc import HammingSVC
from sotto.hashing.errors import HashFileError, HashingError
from sotto.hashing.smh.distance import hamming_distances
from sotto.hashing.smh.key import HashKey
from sotto.hashing.smh.modular_hash import modular_hash
from sotto.hashing.smh.packing import PackedHashes, pack
from sotto.hashing.tensor_file import read_file, write_file
from sotto.models.svm.rbf_search import RBFSearch, search_rbf


class _HashSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The record in a file of training hashes."""

    format: Literal["sotto-hash-set"]
    version: Literal[1]
    classes: tuple[str, ...]
    k: int
    symbols: int
    fingerprint: str


@dataclass(frozen=True, eq=False, repr=False)
class HashSet:
    """``n`` hashes with labels.

    Attributes
    ----------
    hashes
        packed, all under one key.
    labels
        (n,) int64, positions in ``classes``.
    classes
        names of the classes.
    speakers
        (n,) int64 numbers without names; all -1 where the parties keep them to themselves.
    fingerprint
        of the key.

    Raises
    ------
    HashingError
        the parts do not fit together.
    """

    hashes: PackedHashes
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    speakers: npt.NDArray[np.int64]
    fingerprint: str

    def __post_init__(self) -> None:
        shape = (len(self.hashes),)
        if self.labels.shape != shape or self.speakers.shape != shape:
            raise HashingError("wrong-shape", f"{shape[0]} hashes need as many labels and speaker numbers")
        if self.labels.dtype != np.int64 or self.speakers.dtype != np.int64:
            raise HashingError("wrong-dtype", "labels and speaker numbers are int64")
        if len(set(self.classes)) != len(self.classes) or len(self.classes) < 2:
            raise HashingError("one-class", "training hashes need at least two classes with different names")
        if self.labels.size and not (self.labels.min() >= 0 and self.labels.max() < len(self.classes)):
            raise HashingError("bad-label", f"labels are positions 0 to {len(self.classes) - 1} in the classes")

    def __len__(self) -> int:
        return len(self.hashes)

    def __repr__(self) -> str:
        return f"<HashSet of {len(self)} hashes in {len(self.classes)} classes under key {self.fingerprint}>"

    def save(self, path: str | Path) -> None:
        """Write the set to ``path``, replacing what is there."""
        record = _HashSet("sotto-hash-set", 1, self.classes, self.hashes.k, self.hashes.symbols, self.fingerprint)
        tensors: dict[str, npt.NDArray[Any]] = {
            "planes": self.hashes.planes,
            "labels": self.labels,
            "speakers": self.speakers,
        }
        write_file(path, tensors, record, private=False)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a set. Raises HashFileError when it is missing, too large, malformed or inconsistent."""
        record, tensors = read_file(path, _HashSet, ("labels", "planes", "speakers"), private=False)
        try:
            hashes = PackedHashes(tensors["planes"], record.k, record.symbols).checked()
            return cls(hashes, tensors["labels"], record.classes, tensors["speakers"], record.fingerprint)
        except HashingError as error:
            raise HashFileError("bad-file", f"{path}: {error}") from None


def training_hashes(
    key: HashKey,
    features: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    classes: Sequence[str],
    speakers: Sequence[Any] | npt.NDArray[Any] | None = None,
) -> HashSet:
    """Hash labelled features where the key is.

    Parameters
    ----------
    key
        the secret key that Alice will ask with.
    features
        (n, L), normalised as Alice's will be.
    labels
        (n,) positions in ``classes``.
    speakers
        (n,) names of any kind, replaced by numbers in order of appearance. With them the server can search C
        and γ on held-out speakers, and learns which hashes belong together.

    Raises
    ------
    HashingError
        the arguments do not fit together.
    """
    hashes = pack(modular_hash(features, key), key.parameters.k)
    numbers = np.full(len(hashes), -1, np.int64) if speakers is None else _numbered(list(speakers))
    return HashSet(hashes, np.asarray(labels, np.int64), tuple(classes), numbers, key.fingerprint)


def join(sets: Sequence[HashSet]) -> HashSet:
    """Pool the sets of several parties; speakers of different parties count as different.

    Raises
    ------
    HashingError
        no set, or they were made with different keys or for different classes.
    """
    if not sets:
        raise HashingError("nothing-to-join", "there are no hashes to join")
    first = sets[0]
    for other in sets[1:]:
        if other.fingerprint != first.fingerprint:
            raise HashingError(
                "other-key", "hashes made with different keys cannot be compared: agree on one key and hash again"
            )
        if other.classes != first.classes or (other.hashes.k, other.hashes.symbols) != (
            first.hashes.k,
            first.hashes.symbols,
        ):
            raise HashingError("other-classes", "the sets have different classes or hash sizes")
    speakers, offset = [], 0
    for one in sets:
        speakers.append(np.where(one.speakers < 0, -1, one.speakers + offset))
        offset += int(one.speakers.max(initial=-1)) + 1
    planes = np.concatenate([one.hashes.planes for one in sets])
    return HashSet(
        PackedHashes(planes, first.hashes.k, first.hashes.symbols),
        np.concatenate([one.labels for one in sets]),
        first.classes,
        np.concatenate(speakers),
        first.fingerprint,
    )


def train_hamming_svc(hashes: HashSet, **search: Any) -> tuple[HammingSVC, RBFSearch]:
    """Search C and γ on held-out speakers, then train on all hashes; done by the server, without the key.

    ``search``: ``costs``, ``spreads``, ``folds`` of :func:`sotto.models.svm.rbf_search.search_rbf`.
    The classifier's labels are positions in ``hashes.classes``.

    Raises
    ------
    HashingError
        the set does not say who speaks. ValueError: too few speakers or classes.
    """
    if not len(hashes) or int(hashes.speakers.min()) < 0:
        raise HashingError(
            "no-speakers",
            "C and γ are searched on held-out speakers: give speakers to training_hashes, or fit HammingSVC",
        )
    squared = hamming_distances(hashes.hashes, hashes.hashes) ** 2
    found = search_rbf(squared, hashes.labels, hashes.speakers, **search)
    classifier = HammingSVC(found.cost, found.gamma)
    return classifier.fit(hashes.hashes, hashes.labels, fingerprint=hashes.fingerprint), found


def _numbered(names: list[Any]) -> npt.NDArray[np.int64]:
    seen: dict[Any, int] = {}
    return np.array([seen.setdefault(name, len(seen)) for name in names], np.int64)
