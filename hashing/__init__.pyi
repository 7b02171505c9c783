from .alice import Alice
from .bob import Bob
from .classification.discriminant import DiscriminantFeatures
from .classification.hash_set import HashSet, join, train_hamming_svc, training_hashes
from .classification.kernel import hamming_kernel
from .classification.svc import HammingSVC
from .errors import HashFileError, HashingError, KeyFileError
from .smh.distance import distance_blocks, hamming_distances
from .smh.key import HashKey
from .smh.leakage import PAPER_THRESHOLDS, delta_for_leakage, leakage, privacy_threshold
from .smh.modular_hash import modular_hash
from .smh.packing import PackedHashes, bytes_per_hash, pack
from .smh.parameters import HashParameters
from .smh.transformer import SecureModularHash

__all__ = [
    "PAPER_THRESHOLDS",
    "Alice",
    "Bob",
    "DiscriminantFeatures",
    "HammingSVC",
    "HashFileError",
    "HashKey",
    "HashParameters",
    "HashSet",
    "HashingError",
    "KeyFileError",
    "PackedHashes",
    "SecureModularHash",
    "bytes_per_hash",
    "delta_for_leakage",
    "distance_blocks",
    "hamming_distances",
    "hamming_kernel",
    "join",
    "leakage",
    "modular_hash",
    "pack",
    "privacy_threshold",
    "train_hamming_svc",
    "training_hashes",
]
