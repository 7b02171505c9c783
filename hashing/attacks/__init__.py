"""What an adversary can try against hashes, and what he gets; every function runs the attack and returns numbers.

* :func:`known_key_attack`: hash and stolen key give the features back.
* :func:`linkability`: hashes under one key tell who speaks.
"""

from hashing.attacks.known_key import KnownKeyResult, known_key_attack, recover_features
from hashing.attacks.linkability import Identification, LinkabilityResult, linkability

__all__ = [
    "Identification",
    "KnownKeyResult",
    "LinkabilityResult",
    "known_key_attack",
    "linkability",
    "recover_features",
]
