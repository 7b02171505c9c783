from .chosen_plaintext import chosen_blocks, chosen_speech, keys_from_chosen
from .ciphertext_only.jigsaw import shuffling_from_statistics
from .ciphertext_only.moments import Moments
from .ciphertext_only.second_order import rom_from_statistics
from .ciphertext_only.signs import flipping_from_statistics
from .guessing import decrypt_without_key, guess_key
from .inverter import Inverter, train_inverter
from .known_plaintext import blocks_until_exact, key_from_kernels, key_from_pairs
from .outcome import Outcome, correlation, judge
from .passive_leakage import Visible, what_shows

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
