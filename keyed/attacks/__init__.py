"""What an attacker gets out of encrypted speech.  Every function here really attacks, and returns what it found.

The provider has the encrypted model, hence the block size and the key type, and sees every query.

* :mod:`~sotto.keyed.attacks.passive_leakage`: what shows without an attack (energy of every block, repeats);
* :mod:`~sotto.keyed.attacks.known_plaintext`: pairs of plain and encrypted blocks, or a public model's kernel;
* :mod:`~sotto.keyed.attacks.chosen_plaintext`: Alice is made to encrypt a clip of the attacker's; the fewest blocks it
takes;
* from encrypted queries and public speech of other people alone:
  :mod:`~sotto.keyed.attacks.ciphertext_only.second_order` for ROM (in waveforms ended by
  :mod:`~sotto.keyed.attacks.ciphertext_only.likelihood`), :mod:`~sotto.keyed.attacks.ciphertext_only.signs` for
  Flipping, :mod:`~sotto.keyed.attacks.ciphertext_only.jigsaw` for Shuffling; or for any of them a network trained on
  speech under other keys, :mod:`~sotto.keyed.attacks.inverter`.

:func:`guess_key` runs the ciphertext-only search for the type at hand; :func:`judge` says how well an attack went.
"""

from torch import Tensor

from sotto.keyed.attacks.chosen_plaintext import chosen_blocks, chosen_speech, keys_from_chosen
from sotto.keyed.attacks.ciphertext_only.jigsaw import shuffling_from_statistics
from sotto.keyed.attacks.ciphertext_only.moments import Moments
from sotto.keyed.attacks.ciphertext_only.second_order import rom_from_statistics
from sotto.keyed.attacks.ciphertext_only.signs import flipping_from_statistics
from sotto.keyed.attacks.inverter import Inverter, train_inverter
from sotto.keyed.attacks.known_plaintext import blocks_until_exact, key_from_kernels, key_from_pairs
from sotto.keyed.attacks.outcome import Outcome, correlation, judge
from sotto.keyed.attacks.passive_leakage import Visible, what_shows
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


__all__ = [
    "Inverter",
    "Moments",
    "Outcome",
    "Visible",
    "blocks_until_exact",
    "chosen_blocks",
    "chosen_speech",
    "correlation",
    "decrypt_without_key",
    "flipping_from_statistics",
    "guess_key",
    "judge",
    "key_from_kernels",
    "key_from_pairs",
    "keys_from_chosen",
    "rom_from_statistics",
    "shuffling_from_statistics",
    "train_inverter",
    "what_shows",
]
