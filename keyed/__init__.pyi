from .alice import Alice
from .bob import Bob
from .encryption.key_file import load_key, save_key
from .encryption.keys import KEY_TYPES, ROM, Flipping, Key, KeyType, Shuffling, generate_key
from .encryption.model_encryption import encrypt_model, find_first_convolution
from .encryption.model_file import load_encrypted_model, save_encrypted_model
from .encryption.transform import decrypt, encrypt, whole_blocks
from .errors import KeyedError, KeyFileError, NotEligibleError, WrongShapeError

__all__ = [
    "COMPUTATIONAL_BITS",
    "KEY_TYPES",
    "ROM",
    "Alice",
    "Bob",
    "Flipping",
    "Key",
    "KeyFileError",
    "KeyType",
    "KeyedError",
    "NotEligibleError",
    "Shuffling",
    "WrongShapeError",
    "decrypt",
    "encrypt",
    "encrypt_model",
    "find_first_convolution",
    "generate_key",
    "load_encrypted_model",
    "load_key",
    "save_encrypted_model",
    "save_key",
    "whole_blocks",
]

COMPUTATIONAL_BITS: None
