from .architectures import ModelError, build, names
from .networks.emotion_cnn import Depinto, Frames
from .normalisation import Normalisation
from .weights import ModelRecord, load, save

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
