from .egemaps import EGeMAPS
from .extraction import extract, extract_each
from .logmel import LogMel
from .mfcc import MFCC, MeanMFCC, MFCCSamples
from .spec import FeatureSpec, from_record, from_text
from .stft import STFT
from .waveform import SampleBlocks, Waveform

__all__ = [
    "MFCC",
    "STFT",
    "EGeMAPS",
    "FeatureSpec",
    "LogMel",
    "MFCCSamples",
    "MeanMFCC",
    "SampleBlocks",
    "Waveform",
    "extract",
    "extract_each",
    "from_record",
    "from_text",
]
