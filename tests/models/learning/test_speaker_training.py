"""Embeddings learn to keep voices apart that differ in their spectrum; a batch never holds a voice twice."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from sotto.link import BadValue
from sotto.models.learning.seeding import seeded
from sotto.models.learning.speaker_training import SpeakerSchedule, train_embeddings
from sotto.models.networks.speaker_embedding import EmbeddingTrunk
from tests.error_codes import raises_code

_TINY = SpeakerSchedule(steps=80, batch=8, frames=40, rate=1e-2, noise=0.0, colour=(0.1,))


def _voices(speakers, bands=16):
    """Frames that move along a direction of each speaker's own, so that means over time say nothing."""
    generator = torch.Generator().manual_seed(3)
    ways = 2 * torch.randn(speakers, bands, 1, generator=generator)
    return [
        [way * torch.randn(1, 100, generator=generator) + 0.3 * torch.randn(bands, 100, generator=generator)] * 2
        for way in ways
    ]


def _separation(trunk, voices):
    with torch.no_grad():
        first, second = (F.normalize(trunk(torch.stack([v[0][:, part] for v in voices])), dim=1) for part in _HALVES)
    cosines = first @ second.T
    same = cosines.diagonal().mean()
    return float(same - (cosines.sum() - cosines.diagonal().sum()) / (len(voices) ** 2 - len(voices)))


_HALVES = (slice(0, 50), slice(50, 100))


def test_training_separates_voices():
    with seeded(0):
        trunk = EmbeddingTrunk(16, bands=16, width=16)
        untrained = _separation(trunk.eval(), _voices(12))
        train_embeddings(trunk, _voices(12), _TINY, seed=0, label="test")
    assert not trunk.training
    trained = _separation(trunk, _voices(12))
    assert trained > untrained + 0.2


def test_the_same_seed_gives_the_same_weights():
    weights = []
    for _ in range(2):
        with seeded(1):
            trunk = EmbeddingTrunk(8, bands=16, width=8)
            train_embeddings(trunk, _voices(8), SpeakerSchedule(steps=3, batch=4, frames=30), seed=1, label="test")
        weights.append(torch.cat([p.flatten() for p in trunk.parameters()]))
    assert torch.equal(*weights)


def test_fewer_voices_than_a_batch_are_refused():
    with raises_code(BadValue, "too-few-voices"):
        train_embeddings(EmbeddingTrunk(8, bands=16, width=8), _voices(3), _TINY, seed=0, label="test")
