"""A lowered network in a file: what is read is what was written, and nothing else is taken for one."""

import json
import stat

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from torch import nn

from sotto.link import BadValue
from sotto.models.networks.polynomial import PolynomialReLU
from sotto.mpc import Bob, LoweredModel, ModelRefused
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def lowered():
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3))
    return LoweredModel.of(module, (6,), input_limit=4.0, source="abc")


def parts(path):
    with safe_open(path, framework="np") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata())  # noqa: SIM118


def test_a_file_gives_back_what_was_written(lowered, tmp_path, monkeypatch):
    path = tmp_path / "lowered"
    lowered.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    monkeypatch.setattr("sotto.mpc.lowering.lowered.trace", None)  # nothing is traced or proven again
    monkeypatch.setattr("sotto.mpc.lowering.lowered.value_ranges", None)
    read = LoweredModel.load(path)
    assert (read.plan, read.source) == (lowered.plan, "abc")
    assert read.ranges == lowered.ranges
    assert (read.error_bits, read.unproven) == (lowered.error_bits, "")
    assert all((read.weights[n][k] == own).all() for n, each in lowered.weights.items() for k, own in each.items())
    assert Bob(read, None, mode="semi-honest").agreement == Bob(lowered, None, mode="semi-honest").agreement


def changed(tensors, metadata, what):
    record = json.loads(metadata["sotto.lowered"])
    if what == "tensor":
        tensors["0.weight"] = tensors["0.weight"][:, :-1].copy()
    elif what == "type":
        tensors["0.weight"] = tensors["0.weight"].astype(np.float64)
    elif what == "missing":
        del tensors["0.weight"]
    elif what == "more":
        tensors["9.weight"] = np.zeros(3, np.float32)
    elif what == "range":
        record["ranges"][1] = 99
    elif what == "format":
        record["format"] += 1
    elif what == "plan":
        record["plan"]["layers"][0]["inputs"] = 7
    elif what == "field":
        record["code"] = "print()"
    return tensors, {} if what == "no record" else {"sotto.lowered": json.dumps(record)}


@pytest.mark.parametrize("what", ["tensor", "type", "missing", "more", "range", "format", "plan", "field", "no record"])
def test_another_file_is_refused(lowered, tmp_path, what):
    path = tmp_path / "lowered"
    lowered.save(path)
    tensors, metadata = changed(*parts(path), what)
    save_file(tensors, path, metadata)
    with pytest.raises(ModelRefused):
        LoweredModel.load(path)


def test_it_says_why_no_error_is_bounded(tmp_path):
    module = nn.Sequential(PolynomialReLU(2), nn.Linear(4, 4), PolynomialReLU(2), nn.Linear(4, 3)).eval()
    module[1].weight.data.fill_(2.0**6)
    lowered = LoweredModel.of(module, (4,), input_limit=64.0)
    assert lowered.error_bits is None
    assert "holds the argument" in lowered.unproven
    lowered.save(tmp_path / "lowered")
    assert LoweredModel.load(tmp_path / "lowered").unproven == lowered.unproven


def test_what_is_no_such_file_is_refused(tmp_path):
    path = tmp_path / "lowered"
    with pytest.raises(ModelRefused):
        LoweredModel.load(path)
    path.write_bytes(b"\0" * 64)
    with pytest.raises(ModelRefused):
        LoweredModel.load(path)


def test_a_module_needs_a_shape():
    with raises_code(BadValue, "no-input-shape"):
        Bob(nn.Linear(2, 2), None, mode="semi-honest")
