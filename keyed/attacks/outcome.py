"""What an attack achieved, in numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sotto.keyed.encryption.keys import Key, KeyType
from sotto.keyed.encryption.transform import decrypt, encrypt, whole_blocks


@dataclass(frozen=True)
class Outcome:
    """How well a guessed key undoes a key on speech that the attack was not given in the clear.

    Attributes
    ----------
    attack
        its name.
    kind, block_size, dimension
        of the key attacked.
    blocks_seen
        how many encrypted blocks the attack had.
    key_exact
        the guessed key is the key (ROM: to 0.001 in every entry).
    key_exact_up_to_sign
        or its negative, which sounds the same.
    correlation
        mean over clips of the absolute correlation of recovered and original speech.
    correlation_encrypted
        the same for the encrypted speech as it is, that is, for no attack at all.
    """

    attack: str
    kind: KeyType
    block_size: int
    dimension: int
    blocks_seen: int
    key_exact: bool
    key_exact_up_to_sign: bool
    correlation: float
    correlation_encrypted: float


def judge(attack: str, guess: Key | None, key: Key, speech: Tensor, blocks_seen: int) -> Outcome:
    """Compare a guessed key with the key, on plain ``speech`` (clips, ...) that was encrypted with it.

    A guess of None (the attack gave up) recovers nothing beyond the encrypted speech.
    """
    plain = whole_blocks(speech, key.block_size, key.dimension)
    encrypted = encrypt(plain, key)
    before = correlation(encrypted, plain)
    exact, negative, after = False, False, before
    if guess is not None:
        found, true = torch.from_numpy(guess.matrix()), torch.from_numpy(key.matrix())
        exact = bool((found - true).abs().max() < 1e-3)
        negative = bool((found + true).abs().max() < 1e-3)
        after = correlation(decrypt(encrypted, guess), plain)
    return Outcome(
        attack, key.kind, key.block_size, key.dimension, blocks_seen, exact, exact or negative, after, before
    )


def correlation(found: Tensor, original: Tensor) -> float:
    """Mean over the first axis of |Pearson correlation|, 0 where either is constant."""
    a, b = found.flatten(1).double(), original.flatten(1).double()
    a, b = a - a.mean(1, keepdim=True), b - b.mean(1, keepdim=True)
    scale = a.norm(dim=1) * b.norm(dim=1)
    return float(((a * b).sum(1).abs() / scale.clamp(min=1e-30)).mean())
