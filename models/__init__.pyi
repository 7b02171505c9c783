from .architectures import ModelError, build, names
from .networks.emotion_cnn import Depinto, Frames
from .normalisation import Normalisation
from .sample_input import from_samples
from .weights import ModelRecord, load, save

__all__ = [
    "Depinto",
    "Frames",
    "ModelError",
    "ModelRecord",
    "Normalisation",
    "build",
    "from_samples",
    "load",
    "names",
    "save",
]
