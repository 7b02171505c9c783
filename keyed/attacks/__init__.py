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

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
