"""Files of sensors and classifiers: what is saved comes back, and everything else is refused in one line."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from sotto.adversarial import Classifier, Sensor, load_classifier, load_sensor, save_classifier, save_sensor
from sotto.link import BadValue
from sotto.models import ModelError, ModelRecord
from sotto.models.architectures import register
from sotto.models.weights import METADATA_KEY
from tests.error_codes import raises_code

ARGUMENTS = {"rate": 16_000, "mask": "continuous", "separation": (2, 4), "extractor": (2, 4), "floor": 0.1}
SENSOR = ModelRecord(architecture="sensor", arguments=ARGUMENTS, classes=("bark", "shot"))
CLASSIFIER = ModelRecord(architecture="event-classifier", arguments={"classes": 2}, classes=("bark", "shot"))


@pytest.fixture
def sensor_file(tmp_path):
    path = tmp_path / "sensor.safetensors"
    save_sensor(path, Sensor(**ARGUMENTS), SENSOR)
    return path


@pytest.mark.parametrize("mask", ["none", "continuous", "binary"])
def test_a_sensor_comes_back(tmp_path, mask):
    arguments = {**ARGUMENTS, "mask": mask}
    sensor = Sensor(**arguments).eval()
    path = tmp_path / "sensor.safetensors"
    save_sensor(path, sensor, ModelRecord(architecture="sensor", arguments=arguments, classes=("bark", "shot")))
    again, record = load_sensor(path)
    segments = torch.randn(2, 16_000)
    assert torch.equal(again(segments), sensor(segments))
    assert (again.mask, again.rate, record.classes) == (mask, 16_000, ("bark", "shot"))


def test_a_classifier_comes_back(tmp_path):
    classifier = Classifier(2).eval()
    save_classifier(tmp_path / "c.safetensors", classifier, CLASSIFIER)
    z = torch.randn(3, 64)
    assert torch.equal(load_classifier(tmp_path / "c.safetensors")[0](z), classifier(z))


def test_bob_is_not_handed_the_sensor_nor_alice_the_classifier(tmp_path, sensor_file):
    with raises_code(ModelError, "not-a-classifier"):
        load_classifier(sensor_file)
    save_classifier(tmp_path / "c.safetensors", Classifier(2), CLASSIFIER)
    with raises_code(ModelError, "not-a-sensor"):
        load_sensor(tmp_path / "c.safetensors")


def _crafted(path, **changes):
    """The file with other arguments in its record."""
    tensors = load_file(path)
    record = json.loads(_metadata(path)[METADATA_KEY])
    record["arguments"].update(changes)
    save_file(tensors, path, metadata={METADATA_KEY: json.dumps(record)})


def _metadata(path):
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(size))["__metadata__"]


@pytest.mark.parametrize(
    "changes",
    [
        {"rate": 10**12},
        {"rate": -1},
        {"rate": 16_000.5},
        {"separation": [10**12, 4]},
        {"separation": [4096] * 8},
        {"extractor": []},
        {"mask": "none"},
        {"mask": "os.system"},
        {"mels": 10**9},
        {"floor": 0.0},
        {"dimensions": 0},
        {"unheard_of": 1},
    ],
)
def test_a_record_that_does_not_fit_is_refused_in_one_line(sensor_file, changes):
    _crafted(sensor_file, **changes)
    with pytest.raises(ModelError) as error:
        load_sensor(sensor_file)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 7, b"\xff" * 64, (2**63).to_bytes(8, "little") + b"{}"])
def test_bytes_that_are_no_model_are_refused_in_one_line(tmp_path, content):
    path = tmp_path / "sensor.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError) as error:
        load_sensor(path)
    assert "\n" not in str(error.value)


def test_weights_that_are_not_numbers_are_refused(sensor_file):
    tensors, metadata = load_file(sensor_file), _metadata(sensor_file)
    tensors["module.extractor.project.bias"][0] = float("nan")
    save_file(tensors, sensor_file, metadata=metadata)
    with raises_code(ModelError, "not-finite"):
        load_sensor(sensor_file)


def test_a_name_in_the_table_of_architectures_is_not_taken_over():
    register("sensor", Sensor)
    with raises_code(BadValue, "named-already"):
        register("sensor", Classifier)
    with raises_code(BadValue, "named-already"):
        register("mlp", Sensor)
