from .known_key import KnownKeyResult, Recovery, known_key_attack, least_squares, recover_features
from .known_pairs import KnownPairsResult, known_pairs_attack
from .linkability import Identification, LinkabilityResult, linkability

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
