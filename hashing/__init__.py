"""Secure Modular Hashing: Alice sends keyed hashes of her features, Bob classifies hashes with a Hamming-RBF machine.

Source: Dias, Abad, Trancoso, privacy-preserving paralinguistics, §4.

Threat model
------------
*Parties.* Alice and everyone who made training hashes share one secret key (A, w). Bob trained on those hashes and
answers queries; he must never have the key, nor collude with anyone who has it. Bob is honest but curious; he may
answer wrongly, and Alice would not notice.

*What Bob learns.* The class of each query; M symbols per utterance; how far apart any two utterances under one key are,
while they are closer than the privacy threshold (:func:`leakage` gives the share of such pairs; it counts pairs and is
no security level); through that, which hashes are of one speaker (:func:`sotto.hashing.attacks.linkability`), and what
resembles a training utterance he has labels for. **Known pairs**: if Bob also knows the features behind a few hundred
hashes, his own training material or a corpus that can be had, he learns the key from them and opens further hashes
(:func:`sotto.hashing.attacks.known_pairs_attack`). So features of hashed utterances must be as secret as the key.

*What Alice learns.* The class and, if Bob agrees, the decision values. Bob's machine stays with Bob.

*What is provable.* With full-period dither (the default) every symbol of one hash is uniformly distributed whatever the
features are, so a single hash under a fresh key says nothing; and the joint distribution of any number of hashes under
one key depends on the features only through their pairwise Euclidean distances. Both hold against unlimited computing
power for an ideal key, and computationally for one drawn from AES with 256 bits, as ours are; neither is a statement
about how well those distances can be estimated: with many measurements, well. With the dither as the paper prints it,
neither holds. No reduction to a hard problem is known, so this package states no number of security bits, neither
computational nor statistical. ``docs/hashing.md`` has what each attack reaches.

*What breaks it.* The key, stolen or learnt from known pairs. Whoever has it and a hash, or Bob's machine, which
contains training hashes, gets the features back almost exactly (:func:`sotto.hashing.attacks.known_key_attack`). In
joint learning every party has the key: the server must keep each party's hashes from the others. The key has no forward
secrecy: replace it and all training hashes together. A seeded key is as secret as its seed.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
