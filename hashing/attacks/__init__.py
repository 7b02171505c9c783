"""What an adversary can try against hashes, and what he gets; every function runs the attack and returns numbers.

* :func:`known_key_attack`: hash and stolen key give the features back.
* :func:`known_pairs_attack`: hashes of known features give the key, and with it the features behind further hashes.
* :func:`linkability`: hashes under one key tell who speaks.
"""

from sotto.hashing.attacks.known_key import KnownKeyResult, Recovery, known_key_attack, least_squares, recover_features
from sotto.hashing.attacks.known_pairs import KnownPairsResult, known_pairs_attack
from sotto.hashing.attacks.linkability import Identification, LinkabilityResult, linkability

__all__ = [
    "Identification",
    "KnownKeyResult",
    "KnownPairsResult",
    "LinkabilityResult",
    "Recovery",
    "known_key_attack",
    "known_pairs_attack",
    "least_squares",
    "linkability",
    "recover_features",
]
