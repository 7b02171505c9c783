"""From a corpus to an array: computed in parallel, one cache entry per clip, resumed where it was interrupted."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from sotto.audio.cache import ArrayCache, key_of
from sotto.audio.clip import Clip
from sotto.audio.corpus import Corpus
from sotto.audio.errors import BrokenClip
from sotto.audio.features.spec import FeatureSpec
from sotto.audio.parallel import spread
from sotto.audio.reading import content_digest, read
from sotto.link import BadValue

_log = logging.getLogger("sotto")


def extract(corpus: Corpus, spec: FeatureSpec, *, jobs: int | None = None) -> np.ndarray:
    """The feature of every clip, float32 (n, …), row i for clip i.

    Parameters
    ----------
    corpus
        at least one clip.
    spec
        which feature; every clip's must have the same shape (use `extract_each` when `frames` is None).
    jobs
        processes at most; None means one per usable core.

    Raises
    ------
    BrokenClip
        naming the first clip that cannot be decoded or measured. To leave such clips out, load
        the corpus with ``skip_broken=True``.
    ValueError
        clips have features of different shapes, or there is no clip.
    """
    return _stack(corpus, spec, extract_each(corpus, spec, jobs=jobs))


def extract_each(corpus: Corpus, spec: FeatureSpec, *, jobs: int | None = None) -> list[np.ndarray]:
    """As `extract`, but one array per clip, so their lengths may differ."""
    outcomes = _outcomes(corpus, spec, jobs)
    for outcome in outcomes:
        if outcome.fault is not None:
            raise outcome.fault
    return [outcome.row for outcome in outcomes]


@dataclass(frozen=True)
class _Outcome:
    """A clip's feature, or one line that says why there is none; and its cache key, where its content could be read."""

    row: np.ndarray
    fault: BrokenClip | None = None
    key: str | None = None


_NOTHING = np.empty(0, dtype=np.float32)


def _outcomes(corpus: Corpus, spec: FeatureSpec, jobs: int | None) -> list[_Outcome]:
    if not len(corpus):
        raise BadValue("no-clips", f"{corpus.name}: has no clips to extract features from")
    cache = ArrayCache("features")
    cache.sweep()
    look_up = partial(_look_up, spec=spec, about=key_of(spec.cache_record()), cache=cache)
    with ThreadPoolExecutor(max_workers=8) as pool:  # reading and hashing files leave the interpreter free
        outcomes = list(pool.map(look_up, corpus))
    missing = [i for i, outcome in enumerate(outcomes) if outcome.row is _NOTHING and outcome.fault is None]
    reused = sum(outcome.row is not _NOTHING for outcome in outcomes)
    if reused:
        _log.info("%s: reused %s features of %d clips", corpus.name, spec.kind, reused)
    work = spread(
        partial(_compute, spec=spec),
        [corpus[i] for i in missing],
        seconds_each=spec.seconds_each,
        label=f"{corpus.name} {spec.kind}",
        jobs=jobs,
    )
    for position, outcome in work:
        key = outcomes[missing[position]].key
        if outcome.fault is None and key is not None:
            cache.store(key, outcome.row)
        outcomes[missing[position]] = outcome
    if missing:
        _log.info("%s: computed %s features of %d clips", corpus.name, spec.kind, len(missing))
    return outcomes


def _look_up(clip: Clip, spec: FeatureSpec, about: str, cache: ArrayCache) -> _Outcome:
    if not spec.kept:
        return _Outcome(_NOTHING)
    try:
        key = key_of({"clip": content_digest(clip), "feature": about})
    except BrokenClip as error:
        return _Outcome(_NOTHING, fault=error)
    row = cache.load(key)
    if row is None or row.dtype != np.float32 or not _fits(row.shape, spec.shape):
        return _Outcome(_NOTHING, key=key)
    return _Outcome(row, key=key)


def _compute(clip: Clip, spec: FeatureSpec) -> _Outcome:
    """Runs in a worker process."""
    try:
        row = spec.compute(read(clip, spec.sample_rate))
    except BrokenClip as error:
        return _Outcome(_NOTHING, fault=error)
    if row.dtype != np.float32 or not _fits(row.shape, spec.shape):
        raise BadValue(
            "wrong-shape", f"{spec.kind} computed {row.dtype} {row.shape}, it should be float32 {spec.shape}"
        )
    if not np.isfinite(row).all():
        line = f"{clip.source}: its {spec.kind} features are not finite numbers; is it too short?"
        return _Outcome(_NOTHING, fault=BrokenClip("not-finite", line))
    return _Outcome(row)


def _fits(shape: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(shape) == len(wanted) and all(w is None or w == s for s, w in zip(shape, wanted, strict=True))


def _stack(corpus: Corpus, spec: FeatureSpec, rows: list[np.ndarray]) -> np.ndarray:
    if len({row.shape for row in rows}) != 1:
        raise BadValue(
            "lengths-differ", f"{corpus.name}: {spec.kind} differs in length from clip to clip; set its frames"
        )
    return np.stack(rows)
