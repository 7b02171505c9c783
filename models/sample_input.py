"""A trained network behind its own analysis: what a model of features becomes when it is asked about samples."""

from __future__ import annotations

from dataclasses import asdict

import msgspec
from torch import nn

from sotto.audio.features import MFCC, FeatureSpec, MFCCSamples, from_record
from sotto.link import BadValue
from sotto.models.networks.front_end import CepstralFrontEnd
from sotto.models.normalisation import Normalisation
from sotto.models.weights import ModelRecord


def sample_spec(features: FeatureSpec) -> MFCCSamples:
    """The samples that ``features`` are computed from.

    Raises
    ------
    ValueError
        features that no layers here compute.
    """
    if not isinstance(features, MFCC) or isinstance(features, MFCCSamples):
        raise BadValue(
            "wrong-features",
            f"features in the circuit are mfcc, not {features.kind}: take a model of mfcc (frames, say), or leave "
            "features_at out",
        )
    return MFCCSamples(**asdict(features))


def from_samples(module: nn.Module, record: ModelRecord) -> tuple[nn.Module, ModelRecord]:
    """``module`` behind its front end, in evaluation mode, and its record: (n, samples) in [-1, 1] to what it gives.

    Its architecture in the record is still that of ``module``, so the two are no model file.

    Raises
    ------
    ValueError
        the model's features are not MFCC of a fixed number of frames, or have no statistics.
    """
    features = from_record(dict(record.features)) if record.features else None
    if features is None or record.normalisation is None:
        raise BadValue("no-features", "the model does not say which features it takes, and by which statistics")
    samples = sample_spec(features)
    front = CepstralFrontEnd(MFCC(**asdict(samples)), record.normalisation)
    held = Normalisation.within(1.0)
    changed = msgspec.structs.replace(record, features=samples.to_record(), normalisation=held)
    return nn.Sequential(front, module).eval(), changed
