"""Homomorphic encryption: Bob classifies features that he only ever sees encrypted under CKKS.

Alice encrypts feature vectors, Bob evaluates a small network with polynomial activations on them, Alice decrypts the
logits.  One round trip; the keys are sent once per session.  Three modes compute the same network: ``packed`` one query
in one ciphertext, ``batched`` thousands in one ciphertext for each feature, ``tenseal`` one ``ckks_vector`` for each
query, as TenSEAL's users would write it and a hundred times slower than packed.  (Dias, Abad, Trancoso, section 5;
the scheme is Cheon, Kim, Kim, Song, "Homomorphic encryption for arithmetic of approximate numbers", as implemented
by SEAL and TenSEAL.)

**Bob** owns the model.  What he sees of Alice's features is her public keys and ciphertexts, how many there are, and
when they come.  While he follows the protocol they tell him nothing more, and nothing of the answer, which he learns if
Alice acts on it where he sees it; for a Bob who deviates see below.  Security is computational, 128 bits against known
attacks on ring learning with errors (Homomorphic Encryption Standard); Alice checks the parameters he asks for.  His
context has no secret key.

**Alice** owns the features and learns the logits of each query, hence what logits say about the model: with enough
queries she can train a copy of it (:mod:`sotto.he.attacks.extraction`).  ``reveal="class"`` is what her program passes
on, not a limit on what she could decrypt.

What is not protected:

* *Correctness.*  Bob is trusted to evaluate the model that he described (semi-honest).  A malicious Bob can return
  anything, for instance a constant, and nothing here proves that he did not.
* *Published decryptions* (IND-CPA^D; Li, Micciancio, EUROCRYPT 2021).  A raw decryption carries the noise of its
  ciphertext, and whoever holds both recovers the secret key (:mod:`sotto.he.attacks.raw_decryption` does it).  Neither
  SEAL nor TenSEAL prevents that.  So Alice gives out the class, or logits rounded to 1/128 (large ones in proportion),
  eight deviations of the noise at its largest.  A rounded value still says something about the noise when it lies near
  a boundary, as one in ten may do there, so treat rounded logits, and to a lesser degree labels, as hers to keep from
  Bob.  Fresh keys for every session bound what can add up.
* *The key, from a Bob who deviates.*  All of this holds for a Bob who follows the protocol.  One who does not can make
  answers in which the noise, or bits of her secret key, decide what comes out; then every output that Alice publishes,
  classes included, is a decryption oracle, and so is whether she accepted an answer.  Her limits (64 classes, a least
  scale, the size of keys) make that slower, not impossible.  Tell Bob nothing that you decrypted.
* *The model, from the ciphertexts' noise* (circuit privacy).  The noise of an answer depends on Bob's weights, so a
  malicious Alice may learn more than the logits say, unless he floods it (``flooding_bits``,
  :mod:`sotto.he.planning.flooding`).
* *Overflow* in models without a proved bound (``Description.proved`` is false): values of a query unlike the
  calibration features can wrap around.  Alice refuses logits above the declared bound, and in modes packed and batched
  answers that contradict themselves (:mod:`sotto.he.planning.overflow`), as wrapped ones do; in mode tenseal she sees
  no more than the bound, and a wrapped answer below it passes.
* *Metadata*: number and time of queries, the public description (widths of input and output, depth, bounds).

* *The shape of the model, roughly*.  The chain tells its depth, the rotations its widths rounded up to powers of two.

Doors: :class:`Alice`, :class:`Bob`.  Mechanism, lowest first: ``network`` (what is computed), ``circuit`` (how).  For
mode ``tenseal``: ``ranges``, ``slots``, ``parameters``, ``noise``, ``vector_planning`` (with which parameters),
``contexts``, ``tenseal_evaluator``.  For the other two: ``schedule``, ``packing`` (where numbers sit), ``program`` (in
which order), ``intervals``, ``slot_noise``, ``scheduling`` (with which primes and scales), ``sealing``,
``ciphertexts``, ``evaluation_keys``, ``flooding``, ``overflow``, ``packed_evaluator``, ``batched_evaluator``.  For
networks over tensors (convolutions, residual sums; mode ``packed``): ``tensor_network`` (what is computed),
``exporting`` (from which modules), ``slot_layout``, ``slot_product``, ``tensor_packing`` (where numbers sit),
``tensor_program``, ``tensor_scheduling``.  For all: ``messages``, ``calibration``, ``session_secrets``.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
