from . import detection, identification, reconstruction, speaker_linking

__all__ = ["detection", "identification", "reconstruction", "speaker_linking"]
