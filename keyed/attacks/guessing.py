"""The ciphertext-only attack for the type of key at hand, and how well it undoes the key."""

from __future__ import annotations

from torch import Tensor

from sotto.keyed.attacks.ciphertext_only.jigsaw import shuffling_from_statistics
from sotto.keyed.attacks.ciphertext_only.second_order import rom_from_statistics
from sotto.keyed.attacks.ciphertext_only.signs import flipping_from_statistics
from sotto.keyed.attacks.outcome import Outcome, judge
from sotto.keyed.encryption.keys import Key
from sotto.keyed.encryption.transform import blocks, encrypt


def guess_key(encrypted: Tensor, public: Tensor, like: Key, *, starts: int = 512) -> Key | None:
    """The ciphertext-only attack on keys of the type and sizes of ``like``, whose secret is not looked at.

    Parameters
    ----------
    encrypted, public
        queries under the key and any plain speech, (clips, ...) in the same form.
    starts
        how often the attack on ROM may begin anew; it takes them in batches of 32, and time in proportion. With one
        batch it does not attack single queries besides all together.
    """
    sizes = like.block_size, like.dimension
    if like.kind == "shuffling":
        return shuffling_from_statistics(encrypted, public, *sizes)
    if like.kind == "flipping":
        return flipping_from_statistics(encrypted, public, *sizes)
    return rom_from_statistics(encrypted, public, *sizes, starts=starts)


def decrypt_without_key(speech: Tensor, public: Tensor, key: Key, *, starts: int = 512) -> Outcome:
    """Encrypt ``speech`` (clips, ...) under ``key``, attack with ``public`` speech of other people, and judge."""
    encrypted = encrypt(speech, key)
    guess = guess_key(encrypted, public, key, starts=starts)
    seen = blocks(encrypted, key.block_size, key.dimension).shape[:3].numel()
    return judge("ciphertext-only", guess, key, speech, seen)
