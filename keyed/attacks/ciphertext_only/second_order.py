"""Ciphertext-only attack on ROM: the provider decrypts with nothing but encrypted queries and public speech.

The statistics of speech do not depend on where a block begins: the covariance of two samples is a matter of the time
between them.  Rotated blocks do not have this, and hardly any rotation but the right one gives it back.  The attack

1. starts from rotations that line up the eigenvectors of encrypted blocks with those of public speech, their signs
   settled by the covariances between successive blocks; and from random rotations;
2. refines each until the decrypted speech is as stationary as it gets, by alternating projections;
3. keeps the one that comes nearest: how near tells the attacker, without plain speech, whether he has succeeded;
4. in waveforms, makes the speech as likely as it gets (:mod:`sotto.keyed.attacks.ciphertext_only.likelihood`), faint
frequencies included; 5. in several waveforms, does so with single ones and with all together, since the search
sometimes goes astray; keeps the result that is likeliest in all, and refines it on all, each by itself.

The sign of the whole stays open in waveforms, where it cannot be heard; in spectrograms their skewness shows it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.bands import bands_settled
from sotto.keyed.attacks.ciphertext_only.likelihood import Spectra, likeliest, refined
from sotto.keyed.attacks.ciphertext_only.moment_alignment import lined_up, orthogonal
from sotto.keyed.attacks.ciphertext_only.moments import Moments
from sotto.keyed.attacks.ciphertext_only.plausibility import Judge, decrypted
from sotto.keyed.encryption.keys import ROM, SALT_BYTES
from sotto.keyed.encryption.transform import blocks

_BATCH = 32
_LINED_UP = 16
_ROUNDS, _LAST_ROUNDS = 150, 1500
_LONG = 64  # numbers in a block: beyond, a round takes a second, and there are fewer
_LONG_BATCH, _LONG_ROUNDS, _LONG_LAST_ROUNDS = 8, 30, 200
_MOST_SETTLED = 32  # samples in a block: the last step takes time with the fourth power
_FINALISTS = 3
_ALONE, _REFINED_ON = 3, 8  # queries
_CLEARLY = 0.1  # a start has succeeded when it is this much nearer to stationary than the usual failure


def rom_from_statistics(
    encrypted: Tensor, public: Tensor, block_size: int, dimension: int, *, starts: int = 512, seed: int = 0
) -> ROM:
    """The key as the attacker guesses it from ``encrypted`` and any plain speech in the same form.

    He tries until one start is clearly better than the rest, at most ``starts`` times.  Single queries are attacked
    too where that is more than one batch of 32.
    """
    known = Moments.of(public, block_size, dimension)
    queries = _spread(encrypted, _REFINED_ON)
    spectra = Spectra.of_each(queries, block_size) if dimension == 1 and block_size <= _MOST_SETTLED else None
    guess = _found(encrypted, known, block_size, dimension, starts, seed)
    if spectra is not None and len(encrypted) > 1:
        alone = _spread(encrypted, _ALONE if starts > _BATCH else 0)
        apart = [_found(clip[None], known, block_size, 1, starts, seed) for clip in alone]
        guess = refined([guess, *apart], spectra)
    if dimension == 2:
        guess = right_way_up(guess, encrypted, public, block_size)
    return ROM(block_size, dimension, orthogonal(guess).numpy(), bytes(SALT_BYTES))


def right_way_up(key: Tensor, encrypted: Tensor, public: Tensor, block_size: int) -> Tensor:
    """``key`` (N, N) or its negative, whichever decrypts spectrograms to the skewness of ``public`` ones.

    No covariance changes with the sign, but in speech few moments are loud and many are quiet.
    """
    decrypted_blocks = blocks(encrypted, block_size, 2).double() @ key.T
    same = _skewness(decrypted_blocks) * _skewness(blocks(public, block_size, 2).double()) >= 0
    return key if same else -key


def _skewness(values: Tensor) -> float:
    centred = values - values.mean()
    return float(centred.pow(3).mean() / centred.square().mean().clamp(min=1e-30) ** 1.5)


def _found(encrypted: Tensor, public: Moments, block_size: int, dimension: int, starts: int, seed: int) -> Tensor:
    """The key matrix (N, N) as it is guessed from these queries, all taken together."""
    seen = Moments.of(encrypted, block_size, dimension)
    judge = Judge(public, block_size, dimension)
    pairs = _stationary_keys(seen, public, block_size, dimension, starts, seed)
    spectra = Spectra.of(encrypted, block_size) if dimension == 1 and block_size <= _MOST_SETTLED else None
    if spectra is None:
        return judge.most_plausible([key for pair in pairs for key in pair], seen)
    # The likelihood knows no high frequencies from low ones.
    guess = likeliest([judge.most_plausible(pair, seen) for pair in pairs], spectra)
    return judge.most_plausible([guess, _upside_down(guess, block_size)], seen)


def _spread(clips: Tensor, most: int) -> Tensor:
    """At most so many of ``clips`` (clips, ...), evenly spread."""
    return clips[torch.linspace(0, len(clips) - 1, min(most, len(clips))).long()]


def _stationary_keys(
    encrypted: Moments, public: Moments, block_size: int, dimension: int, starts: int, seed: int
) -> list[list[Tensor]]:
    """The best key matrices, each with those under which the speech is as stationary; something else must choose."""
    generator = torch.Generator().manual_seed(seed)
    judge = Judge(public, block_size, dimension)
    long = len(public.mean) > _LONG
    batch_size = _LONG_BATCH if long else _BATCH
    rounds, last_rounds = (_LONG_ROUNDS, _LONG_LAST_ROUNDS) if long else (_ROUNDS, _LAST_ROUNDS)
    found: list[Tensor] = []
    excess = torch.zeros(0, dtype=torch.float64)
    while len(excess) < starts and not (len(excess) and excess.min() < _CLEARLY * excess.median()):
        batch = torch.stack([_start(encrypted, public, len(excess) + i, generator) for i in range(batch_size)])
        keys = _made_stationary(batch, encrypted, judge, rounds)
        found += keys.unbind()
        excess = torch.cat([excess, judge.excess(decrypted(keys, encrypted))])
    pairs = []
    for place in excess.argsort()[: _FINALISTS if dimension == 1 else 1]:
        both = torch.stack([found[int(place)], _upside_down(found[int(place)], block_size)])
        pair = list(_made_stationary(both, encrypted, judge, last_rounds).unbind())
        if dimension == 2:
            pair += [bands_settled(key, encrypted, public, block_size, generator) for key in pair]
        pairs.append(pair)
    return pairs


def _upside_down(key: Tensor, block_size: int) -> Tensor:
    """Negating every other sample keeps speech nearly stationary, and turns its spectrum upside down."""
    signs = 1.0 - 2.0 * (torch.arange(len(key)) % block_size % 2).to(key.dtype)
    return signs[:, None] * key


def _start(encrypted: Moments, public: Moments, attempt: int, generator: torch.Generator) -> Tensor:
    length = len(public.mean)
    if attempt < (_LINED_UP if length <= _LONG else 1):
        return lined_up(encrypted, public, 10.0 ** -(2 + attempt % 3), attempt >= 3, generator)
    return orthogonal(torch.randn(length, length, generator=generator, dtype=torch.float64))


def _made_stationary(keys: Tensor, encrypted: Moments, judge: Judge, rounds: int) -> Tensor:
    """Refine rotations (batch, N, N) until the decrypted speech is as stationary as it gets from there.

    Alternately the nearest stationary covariances to the decrypted ones, and the rotation that comes nearest to those.
    """
    seen = encrypted.covariances
    for _ in range(rounds):
        half = keys[:, None] @ seen
        wanted = judge.rule.nearest(half @ keys[:, None].transpose(2, 3))
        turned = wanted @ (keys[:, None] @ seen.transpose(1, 2)) + wanted.transpose(2, 3) @ half
        keys = orthogonal(turned.sum(1))
    return keys
