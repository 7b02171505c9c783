"""What the measurements of Secure Modular Hashing share: two tasks, speaker folds, ways to scale features, attackers.

The paper (Dias, Abad, Trancoso, §3) tells neutral from angry on a corpus that cannot be had; here that is done on the
emotional speech that is at hand, with all of its classes beside. Every speaker is tested by machines that never heard
them. No parties are started: a hash is the same wherever it is computed, and what a query costs is measured by
``sotto bench``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from sotto import hashing
from sotto.audio.features import EGeMAPS
from sotto.audio.splits import speaker_folds
from sotto.bench.request import Request
from sotto.bench.rows.row import JSONValue, Metrics, Row, Security
from sotto.bench.workbench import Workbench
from sotto.hashing.attacks import Recovery, known_key_attack, known_pairs_attack, least_squares, linkability
from sotto.hashing.smh.parameters import Dither
from sotto.models import Normalisation
from sotto.models.svm.svm import train_svm

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Scaling = Literal["range", "standard", "discriminant"]
SCALINGS: tuple[Scaling, ...] = get_args(Scaling)

PAPER_DELTAS = (2.0, 2.5, 3.0, 3.5)
PAPER_KS = (2, 3, 5, 10)
MPC = 32

_PAIRS = 300
_ANOTHER = 1000  # seeds the key that the victims did not use; the studies' own keys have the seeds 0, 1, …
_CLIP = 3.0  # standard deviations, as for the plaintext machine
_SEARCH_COSTS, _SEARCH_SPREADS, _SEARCH_FOLDS = (1.0, 3.0, 10.0), (0.2, 0.4, 0.8, 1.6), 3

SECURITY = Security(
    adversary="semi-honest server without the key and without features of any hashed utterance",
    trusted="everyone who holds the shared key",
    computational_bits=None,
    statistical_bits=None,
    leaks="the distances among close hashes, who speaks; with the key or some hundred known pairs, the features",
    hides="partly",
)


@dataclass(frozen=True, eq=False)
class Fold:
    """Features that were scaled by the training speakers' statistics, float64: (n, L) to learn from, (m, L) to test."""

    train: Floats
    test: Floats
    train_labels: Labels
    test_labels: Labels
    train_speakers: npt.NDArray[np.str_]
    test_speakers: npt.NDArray[np.str_]
    test_sentences: npt.NDArray[np.str_]

    @property
    def both(self) -> Floats:
        """Training features, then test features."""
        return np.concatenate([self.train, self.test])


@dataclass(frozen=True, eq=False)
class Task:
    """Clips of some classes: raw functionals (n, 88), labels 0 … C - 1, who speaks, and folds as (train, test)."""

    name: str
    classes: tuple[str, ...]
    raw: npt.NDArray[np.float32]
    labels: Labels
    speakers: npt.NDArray[np.str_]
    sentences: npt.NDArray[np.str_]
    folds: Sequence[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]

    def scaled(
        self, scaling: Scaling, training: npt.NDArray[np.int64], parts: Sequence[npt.NDArray[np.int64]]
    ) -> list[Floats]:
        """The features of ``parts``, scaled by what the clips ``learnt`` say: in [-1, 1] over them (``range``, the
        paper's), standardised and clipped (``standard``), or that with class directions first (``discriminant``)."""
        if scaling == "range":
            normalisation = Normalisation.range(self.raw[training])
        else:
            normalisation = Normalisation.standard(self.raw[training], clip=_CLIP)
        features = [normalisation.transform(self.raw[part]).astype(np.float64) for part in parts]
        if scaling == "discriminant":
            directions = hashing.DiscriminantFeatures()
            directions.fit(normalisation.transform(self.raw[training]), self.labels[training])
            features = [directions.transform(part) for part in features]
        return features

    def fold(self, number: int, scaling: Scaling) -> Fold:
        """One fold's features, scaled by its training part."""
        train, test = self.folds[number]
        a, b = self.scaled(scaling, train, (train, test))
        return Fold(
            a, b, self.labels[train], self.labels[test], self.speakers[train], self.speakers[test], self.sentences[test]
        )


def open_study(request: Request) -> tuple[Workbench, list[Task]]:
    """The corpus of a request, and its tasks: neutral against angry where both are acted, and all classes."""
    bench = request.open_workbench()
    return bench, tasks(bench)


def tasks(bench: Workbench) -> list[Task]:
    """Neutral against angry, where the corpus has both; last, all classes."""
    all_tasks = [_task(bench, f"{len(bench.classes)} classes", bench.classes)]
    pair = ("neutral", "angry")
    if set(pair) <= set(bench.classes):
        all_tasks.insert(0, _task(bench, "neutral or angry", pair))
    return all_tasks


def _task(bench: Workbench, name: str, classes: tuple[str, ...]) -> Task:
    emotions = [bench.classes[i] for i in bench.targets]
    chosen = np.array([i for i, emotion in enumerate(emotions) if emotion in classes])
    place = {int(clip): i for i, clip in enumerate(chosen)}
    folds = []
    for split in speaker_folds(bench.corpus, 3 if bench.quick else 6, bench.seed, validation=0):
        parts = [np.array([place[i] for i in part if i in place]) for part in (split.train, split.test)]
        folds.append((parts[0], parts[1]))
    clips = [bench.corpus[int(i)] for i in chosen]
    return Task(
        name,
        classes,
        bench.features(EGeMAPS())[chosen],
        np.array([classes.index(emotions[i]) for i in chosen], np.int64),
        np.array([bench.speakers[i] for i in chosen]),
        np.array([clip.sentence or "" for clip in clips]),
        folds,
    )


def plaintext_answers(fold: Fold) -> Labels:
    """What the RBF machine on the plain features answers; C and γ searched on held-out speakers."""
    svm, _ = train_svm(fold.train, fold.train_labels, fold.train_speakers, folds=_SEARCH_FOLDS)
    return svm.predict(fold.test)


def search_machine(fold: Fold, key: hashing.HashKey) -> tuple[float, float]:
    """C and γ for hashes under keys like ``key``, searched on held-out speakers of the training part."""
    names = [str(label) for label in range(int(fold.train_labels.max()) + 1)]
    training = hashing.training_hashes(
        key, fold.train, fold.train_labels, classes=names, speakers=list(fold.train_speakers)
    )
    _, search = hashing.train_hamming_svc(training, costs=_SEARCH_COSTS, spreads=_SEARCH_SPREADS, folds=_SEARCH_FOLDS)
    return search.cost, search.gamma


def hashed_answers(fold: Fold, key: hashing.HashKey, machine: tuple[float, float]) -> Labels:
    """What the machine on hashes, with (C, γ), answers."""
    k = key.parameters.k
    train, test = (hashing.pack(hashing.modular_hash(part, key), k) for part in (fold.train, fold.test))
    answers: Labels = hashing.HammingSVC(*machine).fit(train, fold.train_labels).predict(test)
    return answers


def hash_row(
    *,
    mode: str,
    bench: Workbench,
    split: str,
    clips: int,
    parameters: Mapping[str, JSONValue],
    plain: float | None = None,
    hashed: float | None = None,
    metrics: Metrics,
    published: Metrics | None = None,
) -> Row:
    """A row of paradigm ``hashing`` that no parties ran: its costs are null."""
    return Row(
        paradigm="hashing",
        mode=mode,
        model="svm",
        corpus=bench.corpus.name,
        split=split,
        seed=bench.seed,
        n_queries=clips,
        parameters=parameters,
        accuracy_plain=plain,
        accuracy_private=hashed,
        metrics=metrics,
        published=published or {},
        security=SECURITY,
    )


def leaking(
    features: Floats, share: float, k: int, *, mpc: int = MPC, dither: Dither = "full", threshold: float | None = None
) -> hashing.HashParameters:
    """Parameters with the Δ at which a ``share`` of the pairs of ``features`` (n, L) leak."""
    delta = hashing.delta_for_leakage(features, share, k=k, measurements_per_coefficient=mpc, threshold=threshold)
    return hashing.HashParameters(features.shape[1], k, delta, mpc, dither)


def split_name(task: Task) -> str:
    """How the clips were split."""
    return f"speakers, {len(task.folds)} folds"


def attack_metrics(fold: Fold, key: hashing.HashKey, *, utterances: int) -> dict[str, float]:
    """All attacks on the test utterances of a fold; those that recover features, on ``utterances`` of them."""
    victims = some(fold.test, utterances)
    return {
        **speaker_metrics(fold, key),
        **known_key_metrics(victims, key, fold.train),
        **known_pairs_metrics(victims, key, some(fold.train, _PAIRS)),
    }


def speaker_metrics(fold: Fold, key: hashing.HashKey) -> dict[str, float]:
    """Test speakers: half of their sentences enrolled (of their clips, where sentences are unknown), half probed."""
    sentences = fold.test_sentences
    if len(set(sentences.tolist())) < 2:
        sentences = np.array([str(place % 2) for place in range(len(sentences))])
    kinds = sorted(set(sentences.tolist()))
    enrolled = np.isin(sentences, kinds[: len(kinds) // 2])
    other = hashing.HashKey.generate(key.parameters, seed=_ANOTHER)
    outcome = linkability(fold.test, fold.test_speakers, enrolled, key, other)
    return {
        "attack_speaker_named": max(outcome.same_key.nearest, outcome.same_key.trained),
        "attack_speaker_named_other_key": max(outcome.different_keys.nearest, outcome.different_keys.trained),
        "attack_speaker_named_plaintext": max(outcome.plaintext.nearest, outcome.plaintext.trained),
        "attack_speaker_named_chance": outcome.chance,
    }


def known_key_metrics(victims: Floats, key: hashing.HashKey, known: Floats) -> dict[str, float]:
    """With the stolen key: the filter, and least squares for comparison."""
    outcome = known_key_attack(victims, key, known)
    simple = Recovery.of(least_squares(hashing.modular_hash(victims, key), key, known), victims, known.mean(axis=0))
    return {
        "attack_known_key_recovered": outcome.recovered,
        "attack_known_key_relative_error": outcome.relative_error,
        "attack_known_key_correlation": outcome.correlation,
        "attack_least_squares_recovered": simple.recovered,
        "attack_least_squares_relative_error": simple.relative_error,
    }


def known_pairs_metrics(victims: Floats, key: hashing.HashKey, known: Floats) -> dict[str, float]:
    """Without the key, from pairs of features and hashes."""
    outcome = known_pairs_attack(victims, key, known)
    return {
        "attack_known_pairs": float(outcome.pairs),
        "attack_known_pairs_recovered": outcome.learnt.recovered,
        "attack_known_pairs_relative_error": outcome.learnt.relative_error,
        "attack_known_pairs_correlation": outcome.learnt.correlation,
        "attack_known_pairs_symbols_predicted": outcome.predicted,
        "attack_regression_relative_error": outcome.regressed.relative_error,
    }


def some(features: Floats, count: int) -> Floats:
    """A regular subset (count, L), or all where there are fewer."""
    return features[np.linspace(0, len(features) - 1, min(count, len(features))).astype(int)]
