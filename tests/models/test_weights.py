"""Model files: what is saved comes back, and everything else is refused in one line."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sotto.models import Depinto, Frames, ModelError, ModelRecord, Normalisation, load, save
from sotto.models.weights import MAX_BYTES, METADATA_KEY
from tests.error_codes import raises_code

CLASSES = ("calm", "angry", "sad")


def record(**changes):
    plain = {"architecture": "depinto", "arguments": {"classes": 3}, "classes": CLASSES}
    return ModelRecord(**{**plain, **changes})


def saved(path: Path) -> Path:
    statistics = Normalisation.standard(np.random.default_rng(0).normal(size=(9, 40)).astype(np.float32), clip=3.0)
    save(path, Depinto(3), record(normalisation=statistics))
    return path


def tampered(path: Path, change) -> Path:
    """The file with its record (a dict) or its tensors changed."""
    tensors = load_file(path)
    header_length = int.from_bytes(path.read_bytes()[:8], "little")
    about = json.loads(json.loads(path.read_bytes()[8 : 8 + header_length])["__metadata__"][METADATA_KEY])
    about = change(about, tensors) or about
    text = about if isinstance(about, str) else json.dumps(about)
    save_file(tensors, path, metadata={METADATA_KEY: text})
    return path


@pytest.mark.parametrize(
    ("module", "about", "shape"),
    [
        (Depinto(3), record(), (4, 40)),
        (Frames(3), record(architecture="frames"), (4, 40, 188)),
        (
            Frames(3, coefficients=20, frames=60, dropout=0.1),
            record(architecture="frames", arguments={"classes": 3, "coefficients": 20, "frames": 60, "dropout": 0.1}),
            (4, 20, 60),
        ),
    ],
)
def test_round_trip(tmp_path, module, about, shape):
    features = {"kind": "mfcc", "hop": 205, "fmax": None, "sizes": [1, 2]}
    about = msgspec.structs.replace(
        about, features=features, corpus="synthetic", split="fold1", seed=7, scores={"accuracy": 0.5}
    )
    module(torch.randn(shape))  # batch-norm statistics that are not the initial ones
    save(tmp_path / "model.safetensors", module, about)
    before = torch.random.get_rng_state()
    again, read = load(tmp_path / "model.safetensors")
    assert torch.equal(before, torch.random.get_rng_state())
    assert not again.training
    x = torch.randn(shape)
    assert torch.equal(again(x), module.eval()(x))
    assert msgspec.structs.replace(read, sotto="") == about
    assert read.sotto


def test_statistics_come_back_exactly(tmp_path):
    x = np.random.default_rng(1).normal(3, 5, size=(20, 40)).astype(np.float32)
    statistics = Normalisation.range(x, clip=1.0)
    save(tmp_path / "m", Depinto(3), record(normalisation=statistics))
    read = load(tmp_path / "m")[1].normalisation
    assert (read.kind, read.clip) == ("range", 1.0)
    np.testing.assert_array_equal(read.transform(x), statistics.transform(x))


def test_interrupted_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = saved(tmp_path / "m.safetensors")
    old = path.read_bytes()

    def interrupted(*_arguments, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sotto.models.weights.save_file", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(path, Depinto(3), record())
    assert path.read_bytes() == old
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize(
    ("module", "about", "says"),
    [
        (Frames(3), record(), "other-architecture"),
        (Depinto(4), record(), "tensor-shape"),
        (Depinto(3), record(architecture="resnet"), "unknown-architecture"),
        (Depinto(3), record(arguments={"classes": 3, "width": 2}), "cannot-build"),
        (Depinto(3), record(classes=("a", "b")), "class-count"),
    ],
)
def test_save_refuses_a_record_of_another_model(tmp_path, module, about, says):
    with raises_code(ModelError, says):
        save(tmp_path / "m", module, about)
    assert not list(tmp_path.iterdir())


def test_save_refuses_weights_that_are_not_numbers(tmp_path):
    module = Depinto(3)
    with torch.no_grad():
        module.linear.bias[0] = torch.nan
    with raises_code(ModelError, "not-finite"):
        save(tmp_path / "m", module, record())


def set_record(**fields):
    return lambda about, tensors: about.update(fields)


def without(name):
    def change(_about, tensors):
        del tensors[name]

    return change


def set_tensor(name, tensor):
    return lambda about, tensors: tensors.update({name: tensor})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (set_record(architecture="os.system"), "unknown-architecture"),
        (set_record(arguments={"classes": 10**9}), "class-count"),
        (set_record(arguments={"coefficients": 10**12}), "tensor-shape"),
        (set_record(arguments={"classes": 3, "coefficients": 10**30}), "cannot-build"),
        (set_record(arguments={"classes": "3"}), "class-count"),
        (set_record(arguments={"classes": 3, "dropout": 7.0}), "cannot-build"),
        (set_record(format=2), "malformed-record"),
        (set_record(more=1), "malformed-record"),
        (lambda about, tensors: about.pop("features") and None, "malformed-record"),
        (set_record(normalisation=None), "statistics-mismatch"),
        (set_record(normalisation={"kind": "median", "clip": None}), "malformed-record"),
        (set_record(normalisation={"kind": "standard", "clip": -1.0}), "bad-statistics"),
        (lambda about, tensors: "[" * 5000, "malformed-record"),
        (lambda about, tensors: "x" * 300_000, "record-too-large"),
        (set_tensor("module.linear.bias", torch.zeros(4)), "tensor-shape"),
        (set_tensor("module.linear.bias", torch.zeros(3, dtype=torch.float16)), "tensor-shape"),
        (set_tensor("module.linear.bias", torch.full((3,), torch.inf)), "not-finite"),
        (set_tensor("module.extra", torch.zeros(1)), "tensor-unknown"),
        (without("module.conv.weight"), "tensor-missing"),
        (without("normalisation.mean"), "statistics-mismatch"),
        (set_tensor("normalisation.mean", torch.zeros(40, dtype=torch.bfloat16)), "statistics-dtype"),
        (set_tensor("normalisation.mean", torch.zeros(7)), "bad-statistics"),
        (set_tensor("normalisation.scale", torch.zeros(40)), "bad-statistics"),
    ],
)
def test_load_refuses(tmp_path, change, says):
    path = tampered(saved(tmp_path / "m.safetensors"), change)
    with raises_code(ModelError, says) as raised:
        load(path)
    message = str(raised.value)
    assert str(path) in message
    assert "\n" not in message
    assert len(message) < 400 + len(str(path))


def test_load_refuses_other_files(tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_file({"a": torch.zeros(2)}, plain)
    with raises_code(ModelError, "no-record"):
        load(plain)
    with raises_code(ModelError, "no-such-file"):
        load(tmp_path / "absent")
    with raises_code(ModelError, "no-such-file"):
        load(tmp_path)


def test_load_refuses_an_oversized_file_unread(tmp_path):
    path = tmp_path / "large"
    with path.open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # sparse
    with raises_code(ModelError, "too-large"):
        load(path)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_are_refused_or_harmless(tmp_path, data):
    path = saved(tmp_path / "m.safetensors")
    content = bytearray(path.read_bytes())
    cut = data.draw(st.integers(0, len(content)))
    at = data.draw(st.integers(0, 2000))
    content[at : at + 4] = data.draw(st.binary(min_size=4, max_size=4))
    path.write_bytes(bytes(content[:cut]) if data.draw(st.booleans()) else bytes(content))
    refusal = ""
    try:
        module, read = load(path)
    except ModelError as error:
        refusal = str(error)
    if not refusal:
        assert isinstance(module, Depinto)
        assert len(read.classes) == 3
    assert "\n" not in refusal
