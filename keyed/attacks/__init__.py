"""What an attacker gets out of encrypted speech.  Every function here really attacks, and returns what it found.

The provider has the encrypted model, hence the block size and the key type, and sees every query.  Ciphertext-only
attacks also use moments of any public speech in the same form (:class:`Moments`).

* :mod:`~keyed.attacks.visible`: what shows without an attack (energy of every block, repeats);
* :mod:`~keyed.attacks.known_plaintext`: pairs of plain and encrypted blocks, or a public model's kernel;
* :mod:`~keyed.attacks.second_order`: ROM, :mod:`~keyed.attacks.signs`: Flipping, :mod:`~keyed.attacks.jigsaw`:
  Shuffling, each from encrypted queries alone.

:func:`decrypt_without_key` runs the ciphertext-only attack on the type at hand; :func:`judge` says how well it went.
"""

from torch import Tensor

from keyed.attacks.jigsaw import shuffling_from_statistics
from keyed.attacks.known_plaintext import blocks_until_exact, key_from_kernels, key_from_pairs
from keyed.attacks.moments import Moments
from keyed.attacks.outcome import Outcome, correlation, judge
from keyed.attacks.second_order import rom_from_statistics
from keyed.attacks.signs import flipping_from_statistics
from keyed.attacks.visible import Visible, what_shows
from keyed.keys import Key
from keyed.transform import encrypt


def guess_key(encrypted: Moments, public: Moments, like: Key, *, starts: int = 512) -> Key | None:
    """The ciphertext-only attack on keys of the type and sizes of ``like``, whose secret is not looked at.

    ``starts``: how often the attack on ROM may begin anew; it takes them in batches of 32, and time in proportion.
    """
    sizes = like.block_size, like.dimension
    if like.kind == "shuffling":
        return shuffling_from_statistics(encrypted, public, *sizes)
    if like.kind == "flipping":
        return flipping_from_statistics(encrypted, public, *sizes)
    return rom_from_statistics(encrypted, public, *sizes, starts=starts)


def decrypt_without_key(speech: Tensor, public: Tensor, key: Key, *, starts: int = 512) -> Outcome:
    """Encrypt ``speech`` (clips, ...) under ``key``, attack with ``public`` speech of other people, and judge."""
    encrypted = Moments.of(encrypt(speech, key), key.block_size, key.dimension)
    guess = guess_key(encrypted, Moments.of(public, key.block_size, key.dimension), key, starts=starts)
    return judge("ciphertext-only", guess, key, speech, encrypted.count)


__all__ = [
    "Moments",
    "Outcome",
    "Visible",
    "blocks_until_exact",
    "correlation",
    "decrypt_without_key",
    "flipping_from_statistics",
    "guess_key",
    "judge",
    "key_from_kernels",
    "key_from_pairs",
    "rom_from_statistics",
    "shuffling_from_statistics",
    "what_shows",
]
