from . import detection, gender, identification, reconstruction, speaker_identification, speech_detection

__all__ = [
    "detection",
    "gender",
    "identification",
    "reconstruction",
    "speaker_identification",
    "speech_detection",
]
