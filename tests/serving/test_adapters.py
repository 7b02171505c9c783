"""Every paradigm as a service with a small untrained model: Alice's answer is that of the model in the clear."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest
import torch

from sotto import adversarial, hashing, keyed
from sotto.audio import Clip
from sotto.audio.features import EGeMAPS, MeanMFCC, Waveform
from sotto.models import ModelRecord, Normalisation, build, save
from sotto.models.learning.training import predict
from sotto.serving import client, registry
from sotto.serving.adapters import LOGARITHM_ERROR, ClientCredentials, LoweringOptions, ModelSource
from sotto.serving.errors import AdapterError
from sotto.serving.folders import KEY_FILE, MODEL_FILE, SENSOR_FILE, calibration_beside, write_calibration
from sotto.serving.terms import FrontEnd, read_terms, write_terms
from tests.error_codes import raises_code
from tests.serving.parties import client_config, dealing, host

CLASSES = ("calm", "angry", "happy")


@pytest.fixture
def clip():
    time = np.arange(16000) / 16000
    sound = sum(np.sin(2 * np.pi * k * 180 * time) / k for k in range(1, 12)) * (1 + 0.4 * np.sin(2 * np.pi * 4 * time))
    return Clip(id="tone", samples=(0.1 * sound).astype("float32"), rate=16000)


@pytest.fixture
def folders(tmp_path):
    for name in ("bob", "alice"):
        (tmp_path / name).mkdir()
    return tmp_path


def load(source):
    return registry.host(source)


def _model(path, architecture, spec, arguments, normalisation=None):
    torch.manual_seed(3)
    module = build(architecture, arguments | {"classes": 3}).eval()
    record = ModelRecord(
        architecture=architecture, arguments=arguments | {"classes": 3}, classes=CLASSES, features=spec.to_record(),
        normalisation=normalisation,
    )  # fmt: skip
    save(path, module, record)
    return module, record


def _ask(address, folders, clip, name, mode="", dealer=None, own=True):
    terms = read_terms(folders / "alice") if own else None
    with client.session(
        client_config(
            address,
            paradigm=name,
            mode=mode or registry.paradigm(name).modes[0],
            dealer=dealer,
            terms=terms,
            seconds=60.0,
            opening_seconds=60.0,
        ),
        ClientCredentials(folders / "alice" if own else None),
    ) as session:
        features = session.features(clip)
        session.prepare()
        labels = [int(session.ask(features).labels[0]) for _ in range(2)]
        return features, labels, session.classes


@pytest.mark.parametrize("mode", ["malicious", pytest.param("semi-honest", marks=pytest.mark.slow)])
def test_mpc(folders, clip, mode):
    in_range = Normalisation(np.zeros(40), np.full(40, 100.0))
    module, _ = _model(folders / "bob" / MODEL_FILE, "depinto", MeanMFCC(trim_db=35.0), {}, in_range)
    source = ModelSource("mpc", folders / "bob", mode)
    with (
        host(partial(dealing, (mode,)), role="dealer", wait_seconds=60.0) as (_, dealer_at),
        host(partial(load, source), dealer=dealer_at, wait_seconds=60.0) as (_, address),
    ):
        features, labels, classes = _ask(address, folders, clip, "mpc", mode, dealer_at, own=False)
    assert labels == [int(predict(module, features).argmax())] * 2
    assert classes == CLASSES


@pytest.mark.parametrize("name", ["he", "hashing", "keyed", "adversarial"])
def test_others_reveal_no_values_and_lower_nothing(name, tmp_path):
    with raises_code(AdapterError, "not-revealed", match="reveals class or logits"):
        registry.host(ModelSource(name, tmp_path, reveal="values"))
    registry.lower(name, tmp_path, LoweringOptions())
    with raises_code(AdapterError, "option-not-taken"):
        registry.lower(name, tmp_path, LoweringOptions(weights="public"))


def test_the_logarithm_of_samples_has_a_tolerance_of_its_own_unless_one_is_asked_for():
    assert LoweringOptions().tolerance(0.5) == 0.5
    samples = LoweringOptions(features_at="circuit")
    assert samples.tolerance(0.5) == LOGARITHM_ERROR
    assert samples.behind_analysis() == LoweringOptions(LOGARITHM_ERROR)
    assert LoweringOptions(0.25, features_at="circuit").tolerance(0.5) == 0.25


def test_mpc_without_a_dealer(folders, clip, tmp_path):
    """Two sessions: the second finds what the first left prepared, on both sides."""
    in_range = Normalisation(np.zeros(40), np.full(40, 100.0))
    module, _ = _model(folders / "bob" / MODEL_FILE, "depinto", MeanMFCC(trim_db=35.0), {}, in_range)
    kept = {name: tmp_path / f"{name}-kept" for name in ("alice", "bob")}
    source = ModelSource("mpc", folders / "bob", "two-party", store=kept["bob"])
    with host(partial(load, source), wait_seconds=60.0) as (_, address):
        for left in (2, 1):
            with client.session(
                client_config(address, paradigm="mpc", mode="two-party", seconds=60.0, opening_seconds=60.0),
                ClientCredentials(store=kept["alice"]),
            ) as session:
                if left == 2:
                    session.prepare(queries=3)
                features = session.features(clip)
                labels = session.ask(features).labels.tolist()
                assert labels == [int(predict(module, features).argmax())]
            assert len(list(kept["alice"].glob("*.ready"))) == left
            deadline = time.monotonic() + 20
            while len(list(kept["bob"].glob("*.ready"))) != left:
                assert time.monotonic() < deadline
                time.sleep(0.05)


def test_a_dealer_is_asked_for_where_there_is_one_and_nowhere_else(folders):
    with (
        raises_code(AdapterError, "no-dealer", match="mpc two-party has no dealer"),
        client.session(client_config(("127.0.0.1", 1), paradigm="mpc", mode="two-party", dealer=("127.0.0.1", 1))),
    ):
        pass
    with (
        raises_code(AdapterError, "dealer-needed", match="mpc malicious needs a dealer"),
        client.session(client_config(("127.0.0.1", 1), paradigm="mpc", mode="malicious")),
    ):
        pass


def test_keyed(folders, clip):
    plain = folders / "plain.safetensors"
    module, record = _model(plain, "wave-patch-cnn", Waveform(seconds=1.0, block=10), {"block_size": 10})
    key = keyed.generate_key("rom", 10)
    keyed.save_key(folders / "alice" / KEY_FILE, key)
    keyed.save_encrypted_model(folders / "bob" / MODEL_FILE, module, key, record, example=torch.randn(1, 16_000))
    write_terms(folders / "alice", load(ModelSource("keyed", folders / "bob")).terms, FrontEnd.of(record))
    with host(partial(load, ModelSource("keyed", folders / "bob"))) as (_, address):
        features, labels, _ = _ask(address, folders, clip, "keyed")
        with raises_code(AdapterError, "own-needed"):
            _ask(address, folders, clip, "keyed", own=False)
    assert labels == [int(predict(module, features).argmax())] * 2
    with raises_code(keyed.NotEligibleError, "not-encrypted"):
        load(ModelSource("keyed", plain))


def test_hashing(folders, clip):
    generator = np.random.default_rng(5)
    rows = generator.normal(size=(60, 88)).astype("float32")
    key = hashing.HashKey.generate(hashing.HashParameters(inputs=88, k=5, delta=4.0, measurements_per_coefficient=8))
    key.save(folders / "alice" / KEY_FILE)
    hashes = hashing.pack(hashing.modular_hash(rows, key), 5)
    labels = np.array(CLASSES)[generator.integers(0, 3, 60)]
    classifier = hashing.HammingSVC().fit(hashes, labels, fingerprint=key.fingerprint)
    classifier.save(folders / "bob" / MODEL_FILE)
    source = ModelSource("hashing", folders / "bob")
    write_terms(folders / "alice", load(source).terms, FrontEnd(EGeMAPS().to_record()))
    with host(partial(load, source)) as (_, address):
        features, found, classes = _ask(address, folders, clip, "hashing")
    expected = classifier.predict(hashing.pack(hashing.modular_hash(features, key), 5))[0]
    assert [classes[label] for label in found] == [expected] * 2


@pytest.mark.slow
def test_adversarial(folders, clip):
    torch.manual_seed(3)
    arguments = {"rate": 16000, "separation": [4, 8], "extractor": [8, 16], "dimensions": 8}
    sensor = build("sensor", arguments).eval()
    adversarial.save_sensor(
        folders / "alice" / SENSOR_FILE, sensor, ModelRecord(architecture="sensor", arguments=arguments, classes=())
    )
    sizes = {"classes": 3, "dimensions": 8}
    classifier = build("event-classifier", sizes).eval()
    record = ModelRecord(
        architecture="event-classifier", arguments=sizes, classes=CLASSES, features=adversarial.features_of(sensor)
    )
    adversarial.save_classifier(folders / "bob" / MODEL_FILE, classifier, record)
    source = ModelSource("adversarial", folders / "bob")
    write_terms(folders / "alice", load(source).terms)
    with host(partial(load, source)) as (_, address):
        features, labels, _ = _ask(address, folders, clip, "adversarial")
    with torch.inference_mode():
        z = sensor(torch.from_numpy(features)).half().float()
        assert labels == [int(classifier(z).argmax())] * 2


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["packed", "batched", "tenseal"])
def test_he(folders, clip, mode):
    rows = np.random.default_rng(7).normal(size=(40, 88)).astype("float32") * 100
    normalisation = Normalisation.range(rows)
    arguments = {"inputs": 88, "hidden": [16], "activation": "poly2"}
    module, _ = _model(folders / "bob" / MODEL_FILE, "mlp", EGeMAPS(), arguments, normalisation)
    write_calibration(folders / "bob", np.clip(normalisation.transform(rows), -1, 1))
    with host(partial(load, ModelSource("he", folders / "bob", mode)), message_seconds=120.0) as (_, address):
        features, labels, _ = _ask(address, folders, clip, "he", mode, own=False)
    assert labels == [int(predict(module, np.clip(features, -1, 1)).argmax())] * 2


@pytest.mark.slow
def test_he_with_a_convolutional_network(folders, clip):
    rows = np.random.default_rng(7).normal(size=(40, 40)).astype("float32") * 100
    normalisation = Normalisation.range(rows)
    module, _ = _model(folders / "bob" / MODEL_FILE, "depinto", MeanMFCC(), {"activation": "poly2"}, normalisation)
    write_calibration(folders / "bob", np.clip(normalisation.transform(rows), -1, 1)[:, None])
    with host(partial(load, ModelSource("he", folders / "bob")), message_seconds=120.0) as (_, address):
        features, labels, _ = _ask(address, folders, clip, "he", own=False)
    assert labels == [int(predict(module, np.clip(features, -1, 1)).argmax())] * 2


def test_calibration_of_any_shape_comes_back(tmp_path):
    for shape in ((3, 4), (3, 4, 5)):
        features = np.random.default_rng(1).normal(size=shape).astype("float32")
        write_calibration(tmp_path, features)
        assert np.array_equal(calibration_beside(tmp_path / MODEL_FILE), features)
    write_calibration(tmp_path, np.zeros(3, np.float32))
    with raises_code(AdapterError, "no-calibration"):
        calibration_beside(tmp_path / MODEL_FILE)


def test_a_paradigm_that_is_none_is_one_line():
    with raises_code(AdapterError, "unknown-paradigm", match="choose one of mpc, he"):
        registry.paradigm("os")
