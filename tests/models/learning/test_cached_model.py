"""A kept model is trained once, again when anything it depends on changes, and again when its file is damaged."""

from __future__ import annotations

import pytest
import torch

from sotto.models.learning.cached_model import kept
from sotto.models.networks.convmixer import ConvMixer
from sotto.models.weights import ModelRecord

_ARGUMENTS = {"classes": 2, "block_size": 2, "width": 4, "depth": 1}


@pytest.fixture
def training(tmp_path, monkeypatch):
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path))
    made = []

    def train():
        made.append(ConvMixer(**_ARGUMENTS))
        return made[-1], ModelRecord(architecture="convmixer", arguments=_ARGUMENTS, classes=("a", "b"))

    return made, train


def test_a_model_is_trained_once(training):
    made, train = training
    first, _ = kept("m", {"seed": 1}, train)
    again, record = kept("m", {"seed": 1}, train)
    assert len(made) == 1
    assert record.classes == ("a", "b")
    assert not again.training
    x = torch.randn(1, 4, 4)
    with torch.no_grad():
        assert torch.equal(first(x), again(x))


def test_what_it_depends_on_decides(training):
    made, train = training
    kept("m", {"seed": 1}, train)
    kept("m", {"seed": 2}, train)
    assert len(made) == 2


def test_a_damaged_file_is_made_again(training, tmp_path):
    made, train = training
    kept("m", {"seed": 1}, train)
    (path,) = (tmp_path / "models").iterdir()
    path.write_bytes(path.read_bytes()[:100])
    kept("m", {"seed": 1}, train)
    kept("m", {"seed": 1}, train)
    assert len(made) == 2
