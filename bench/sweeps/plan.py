"""From what somebody asks for to the tasks of a sweep, and the address of each one's result."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from sotto.audio import Corpus
from sotto.audio.reading import content_digest
from sotto.bench.experiment import Say
from sotto.bench.rows.row import JSONValue
from sotto.bench.suite import open_workbench
from sotto.bench.sweeps.source import source_digest
from sotto.bench.sweeps.studies import STUDIES
from sotto.bench.sweeps.studies.axes import read_grid
from sotto.bench.workbench import Workbench


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
        return math.prod(len(values) for values in self.grid.values())

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


def open_plan(
    study: str,
    vary: Sequence[str],
    corpus: str,
    data: Path | None,
    *,
    preset: str = "quick",
    seed: int = 0,
    skip_broken: bool = False,
    say: Say,
) -> tuple[Plan, Workbench]:
    """The tasks of ``study`` over ``vary`` (``axis=values`` each, see ``sotto sweep``) and the corpus they are on.

    Raises
    ------
    SweepError
        the study has no such axis, or the axis no such value.
    CorpusError
        one clear line.
    """
    found = STUDIES[study]
    grid = read_grid(found.axes(preset), vary)
    bench = open_workbench(corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken)
    where = None if data is None else str(data.resolve())
    digests = corpus_digest(bench.corpus), source_digest(found.MODULES)
    return Plan(Setting(study, corpus, where, preset, seed, skip_broken, *digests), grid), bench
