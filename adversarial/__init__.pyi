from .alice import Alice
from .bob import Bob
from .errors import AdversarialError, AttackError, WrongShapeError
from .model_file import load_classifier, load_sensor, save_classifier, save_sensor
from .sensor.classifier import Classifier
from .sensor.fingerprint import features_of, fingerprint
from .sensor.sensor import Sensor

__all__ = [
    "COMPUTATIONAL_BITS",
    "AdversarialError",
    "Alice",
    "AttackError",
    "Bob",
    "Classifier",
    "Sensor",
    "WrongShapeError",
    "features_of",
    "fingerprint",
    "load_classifier",
    "load_sensor",
    "save_classifier",
    "save_sensor",
]

COMPUTATIONAL_BITS: None
