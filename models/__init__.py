"""Plaintext models: the networks and classifiers that every paradigm evaluates privately.

Nothing here is private. A paradigm takes a trained module from here, and every private prediction is compared
with the prediction of the same module in the clear. Model files are safetensors with a JSON record
(:mod:`sotto.models.weights`); they hold no code.
"""

from sotto.models.architectures import ModelError, build, names
from sotto.models.networks.emotion_cnn import Depinto, Frames
from sotto.models.normalisation import Normalisation
from sotto.models.weights import ModelRecord, load, save

__all__ = [
    "Depinto",
    "Frames",
    "ModelError",
    "ModelRecord",
    "Normalisation",
    "build",
    "load",
    "names",
    "save",
]
