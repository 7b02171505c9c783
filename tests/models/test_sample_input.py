"""A trained network asked about samples: the same answers, in the clear and as a service of mpc."""

import numpy as np
import pytest
import torch

from sotto.audio.features import MFCC, MeanMFCC
from sotto.link import BadValue
from sotto.models import ModelRecord, Normalisation, build, from_samples, save
from sotto.models.sample_input import sample_spec
from sotto.serving import registry
from sotto.serving.adapters import LoweringOptions, ModelSource
from sotto.serving.errors import AdapterError
from sotto.serving.folders import MODEL_FILE
from tests.error_codes import raises_code

SPEC = MFCC(coefficients=5, frames=7, rate=8000, n_fft=128, hop=40, mels=12, fmin=100.0)
ARGUMENTS = {"classes": 3, "coefficients": 5, "frames": 7}


def sound(seed):
    rng = np.random.default_rng(seed)
    return (0.05 * rng.normal(size=400) + 0.4 * np.sin(np.arange(400) * rng.uniform(0.2, 0.9))).astype(np.float32)


def made(spec=SPEC):
    torch.manual_seed(3)
    statistics = Normalisation.standard(np.stack([SPEC.compute(sound(seed)) for seed in range(6)]))
    record = ModelRecord(
        architecture="frames", arguments=ARGUMENTS, classes=("calm", "angry", "happy"),
        features=spec.to_record(), normalisation=statistics,
    )  # fmt: skip
    return build("frames", ARGUMENTS).eval(), record


def test_it_gives_on_samples_what_the_network_gives_on_features():
    module, record = made()
    whole, changed = from_samples(module, record)
    x, samples = (np.stack([spec.compute(sound(seed)) for seed in range(9)]) for spec in (SPEC, sample_spec(SPEC)))
    with torch.no_grad():
        expected = module(torch.from_numpy(record.normalisation.transform(x))).numpy()
        found = whole(torch.from_numpy(changed.normalisation.transform(samples))).numpy()
    assert found == pytest.approx(expected, abs=1e-3)
    assert changed.features["kind"] == "mfcc-samples"
    assert changed.classes == record.classes


def test_other_features_and_none_are_refused():
    module, record = made(MeanMFCC(13))
    with raises_code(BadValue, "wrong-features", match="mean-mfcc"):
        from_samples(module, record)
    with raises_code(BadValue, "wrong-features"):
        sample_spec(sample_spec(SPEC))  # they are samples already
    with raises_code(BadValue, "no-features"):
        from_samples(module, ModelRecord(architecture="frames", arguments=ARGUMENTS, classes=("a", "b", "c")))


def test_a_service_made_ready_so_publishes_a_front_end_of_samples(tmp_path):
    save(tmp_path / MODEL_FILE, *made())
    registry.lower("mpc", tmp_path, LoweringOptions(features_at="circuit"))
    terms = registry.host(ModelSource("mpc", tmp_path, "semi-honest")).terms
    assert terms.front.spec() == sample_spec(SPEC)
    assert terms.input_shape == terms.front.spec().shape == (6 * 40 + 128,)
    assert terms.parameters["input limit"] == 1.0
    for other, reason in (("he", "filterbank-poly2"), ("hashing", "classes apart"), ("keyed", "wave-patch")):
        with raises_code(AdapterError, "option-not-taken", match=reason):
            registry.lower(other, tmp_path, LoweringOptions(features_at="circuit"))
