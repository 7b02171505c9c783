"""Features: frozen descriptions (one class each) and `extract`, which computes them for a corpus and keeps them.

extract(corpus, MFCC(40, frames=188))      float32 (n, 40, 188)
extract(corpus, EGeMAPS())                 float32 (n, 88)
"""

from sotto.audio.features.egemaps import EGeMAPS
from sotto.audio.features.extraction import extract, extract_each, extract_sound
from sotto.audio.features.logmel import LogMel
from sotto.audio.features.mfcc import MFCC, MeanMFCC
from sotto.audio.features.spec import FeatureSpec, from_record, from_text
from sotto.audio.features.stft import STFT
from sotto.audio.features.waveform import Waveform

__all__ = [
    "MFCC",
    "STFT",
    "EGeMAPS",
    "FeatureSpec",
    "LogMel",
    "MeanMFCC",
    "Waveform",
    "extract",
    "extract_each",
    "extract_sound",
    "from_record",
    "from_text",
]
