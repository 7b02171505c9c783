"""The tasks of a sweep, and the address of each one's result."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from sotto.audio import Corpus
from sotto.audio.reading import content_digest
from sotto.bench.rows.row import JSONValue


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every task of a sweep shares.  ``data`` is where a worker finds the corpus; it is not in an address."""

    study: str
    corpus: str
    data: str | None
    preset: str
    seed: int
    skip_broken: bool
    corpus_digest: str
    source_digest: str


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One point of the grid."""

    setting: Setting
    parameters: dict[str, JSONValue]

    @property
    def address(self) -> str:
        """The name of the result: 32 hex digits over all that it depends on."""
        content = msgspec.to_builtins(self)
        del content["setting"]["data"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Plan:
    """A grid under one setting; ``len`` and iteration are over its tasks, the last axis running fastest."""

    setting: Setting
    grid: Mapping[str, Sequence[JSONValue]]

    def __len__(self) -> int:
        count = 1
        for values in self.grid.values():
            count *= len(values)
        return count

    def __iter__(self) -> Iterator[Task]:
        for point in itertools.product(*self.grid.values()):
            yield Task(self.setting, dict(zip(self.grid, point, strict=True)))


def corpus_digest(corpus: Corpus) -> str:
    """32 hex digits over the content of every clip and its labels, in order."""
    with ThreadPoolExecutor(max_workers=8) as pool:  # reading and hashing files leave the interpreter free
        contents = list(pool.map(content_digest, corpus))
    digest = hashlib.blake2b(digest_size=16)
    for clip, content in zip(corpus, contents, strict=True):
        digest.update(f"{clip.id} {clip.speaker} {clip.emotion} {clip.sentence} {content}\n".encode())
    return digest.hexdigest()
