"""What attackers on hashes reach on one fold of real features, as metrics of a row."""

from __future__ import annotations

import numpy as np

from sotto import hashing
from sotto.bench.papers.dias.hash_study import Floats, Fold
from sotto.hashing.attacks import Recovery, known_key_attack, known_pairs_attack, least_squares, linkability

_PAIRS = 300
_ANOTHER = 1000  # seeds the key that the victims did not use; the studies' own keys have the seeds 0, 1, …


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
