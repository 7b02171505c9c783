"""Secret-key transforms: Bob runs a model whose first convolution is encrypted on speech that is encrypted to match.

The model owner trains a model whose first convolution reads its input in blocks (kernel = stride = M), makes a key,
encrypts that convolution and gives the encrypted model to a provider (Bob) and the key to Alice.  Alice transforms
every block of her waveform or spectrogram with the key; Bob's answers are those of the plain model.  One round trip, no
cryptographic arithmetic, no loss of accuracy.  (Niwa, Shiota, Kiya: Shuffling and Flipping; with the random orthogonal
matrix, ROM, in the extended paper.)

Who must be trusted for what:

* the **model owner** and **Alice** hold the key.  The owner can therefore decrypt Alice's queries, and so can every
  other user who was given the same key; whoever loses it opens all speech ever sent under it.
* **Bob**, the provider, must not have it.  He is semi-honest: he runs the model as agreed and may look at all he gets.
  He learns every answer (labels and scores, whatever Alice asks him to return), the encrypted speech, and the model
  except for its first convolution.

**This is concealment, not encryption in the cryptographic sense.**  There is no security level
(``COMPUTATIONAL_BITS`` is None); the key space, large as it may be, is none.  The transform is linear, deterministic
and the same for every block:

* it disturbs listeners and recognisers that are given the encrypted speech as it is, the more the larger the block; and
  with Flipping and ROM an encrypted model is of little use without its key.  Shuffling short blocks keeps so much that
  a wrong key, or none, may hardly lower a model's accuracy;
* it does not hide when there is speech, how loud and in what rhythm (every block keeps its energy), nor that two blocks
  or two queries are equal; Shuffling keeps all values, Flipping all magnitudes;
* it does not resist known plaintext: about as many blocks of known speech as a block has numbers (one, for Shuffling
  and Flipping, if its values differ) give the exact key, and so does a provider's knowledge of the plain first kernel:
  never encrypt a published model this way;
* it does not resist a provider who does statistics on a single query of a few seconds: on waveforms Flipping and
  Shuffling keys are found exactly and ROM is undone nearly completely within seconds, for the block sizes that models
  use; on spectrograms Flipping is found exactly and ROM undone to a large part.

All of these attacks are run in :mod:`sotto.keyed.attacks`.  Where speech must stay secret from Bob, use ``mpc`` or
``he``.

Doors: :class:`Alice`, :class:`Bob`; for the model owner :func:`generate_key`, :func:`save_key` and
:func:`save_encrypted_model`.  Mechanism, in ``encryption``, lowest first: ``keys``, ``key_file``,
``transform`` (with the rule for lengths that are no multiple of M), ``model_encryption``, ``model_file``.
"""

import lazy_loader

COMPUTATIONAL_BITS: None = None
"""No adversary that looks at the queries is kept out by a computational assumption."""

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
