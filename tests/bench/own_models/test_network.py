"""A network of the user's own file: loaded, trained or filled with weights, compared where it can run."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

from sotto import cli
from sotto.bench.own_model import NotRunnable
from sotto.bench.own_models.network import builder, load_weights
from tests.error_codes import raises_code

NETWORK = """
from torch import nn
from sotto.models.networks.mlp import MLP

class Ours(MLP):
    def __init__(self, classes):
        super().__init__(inputs=13, hidden=(6,), classes=classes, activation="poly2")

def plain():
    return nn.Linear(13, 3)

class Heads(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.body, self.pitch, self.age = nn.Linear(13, 4), nn.Linear(4, classes), nn.Linear(4, 2)

    def forward(self, x):
        x = self.body(x).tanh()
        return {"pitch": self.pitch(x), "age": self.age(x)}

def words():
    return "a network"

def framed():
    return nn.Sequential(nn.Flatten(), nn.Linear(35, 3))

def broken():
    raise RuntimeError("no luck")

made = nn.Linear(2, 2)
"""


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    path = tmp_path / f"network_{tmp_path.name.replace('-', '_')}.py"
    path.write_text(NETWORK)
    return path


@pytest.fixture
def corpus(tmp_path):
    """Tones of three pitches by six speakers."""
    rng = np.random.default_rng(0)
    rows = []
    for speaker in range(6):
        for label, pitch in (("low", 300), ("middle", 900), ("high", 2000)):
            for take in range(5):
                name = f"{speaker}-{label}-{take}.wav"
                tone = 0.3 * np.sin(2 * np.pi * (pitch + 20 * speaker) * np.arange(4800) / 16000)
                soundfile.write(tmp_path / name, tone + 0.05 * rng.normal(size=tone.size), 16000)
                rows.append((name, f"speaker{speaker}", label))
    with (tmp_path / "mine.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "speaker", "pitch"), *rows])
    return tmp_path / "mine.csv"


def test_a_name_in_a_file_makes_a_network_with_the_number_of_classes(source):
    assert builder(f"{source}:Ours", 5)().head.out_features == 5
    assert builder(f"{source}:plain", 5)().out_features == 3


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("", "no-such-file"),
        ("Nobody", "no-such-name"),
        ("made", "no-such-name"),
        ("words", "not-a-module"),
        ("broken", "cannot-make"),
    ],
)
def test_what_gives_no_network_is_said(source, name, line):
    with raises_code(NotRunnable, line):
        builder(f"{source}:{name}", 3)


def test_a_file_that_is_none_or_is_called_like_another_module_is_refused(tmp_path):
    with raises_code(NotRunnable, "no-such-file"):
        builder(f"{tmp_path / 'net.py'}:Net", 3)
    (tmp_path / "json.py").write_text(NETWORK)
    with raises_code(NotRunnable, "name-taken"):
        builder(f"{tmp_path / 'json.py'}:Ours", 3)


def test_weights_are_taken_only_where_every_tensor_fits(tmp_path):
    network, path = torch.nn.Linear(3, 2), tmp_path / "w.safetensors"
    wanted = {name: torch.randn_like(tensor) for name, tensor in network.state_dict().items()}
    save_file(wanted, path)
    load_weights(network, path)
    assert torch.equal(network.weight, wanted["weight"])
    for changed, code in (
        ({"weight": torch.zeros(3, 2)}, "tensor-shape"),
        ({"more": torch.zeros(1)}, "tensor-name"),
    ):
        save_file({**wanted, **changed}, path)
        with raises_code(NotRunnable, code):
            load_weights(network, path)
    save_file({"weight": wanted["weight"]}, path)
    with raises_code(NotRunnable, "tensor-name", match="bias is missing"):
        load_weights(network, path)
    path.write_bytes(b"not safetensors at all")
    with raises_code(NotRunnable, "not-safetensors"):
        load_weights(network, path)
    with raises_code(NotRunnable, "not-safetensors"):
        load_weights(network, tmp_path / "pickled.pt")


def invoke(*arguments):
    return CliRunner().invoke(cli.app, [str(each) for each in arguments], env={"COLUMNS": "200"})


def test_ones_own_network_is_compared_from_the_shell(source, corpus, tmp_path):
    done = invoke(
        *("bench", "--model", f"{source}:Ours", "--corpus", corpus, "--label", "pitch"),
        *("--features", "mean-mfcc:coefficients=13", "--normalisation", "range"),
        *("--paradigm", "he", "--paradigm", "hashing", "--out", tmp_path / "out", "--json"),
    )
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [(row["paradigm"], row["mode"], row["model"]) for row in rows] == [("he", "packed", f"{source.name}:Ours")]
    assert rows[0]["agreement"] == 1.0
    assert rows[0]["accuracy_private"] > 0.5
    assert rows[0]["parameters"]["weights"] == "trained"
    page = (tmp_path / "out" / "report.html").read_text()
    assert "left out: hashing" in page


def test_a_network_that_does_not_take_the_features_is_told(source, corpus):
    done = invoke("bench", "--model", f"{source}:Ours", "--corpus", corpus, "--label", "pitch", "--features", "egemaps")
    assert done.exit_code == 1
    assert done.exception.code == "does-not-fit"
    assert "Ours does not take egemaps features of 88" in str(done.exception)


def test_one_result_of_several_is_compared(source, corpus, tmp_path):
    tensors = {"body": (4, 13), "pitch": (3, 4), "age": (2, 4)}
    weights = {f"{name}.weight": torch.randn(shape) for name, shape in tensors.items()}
    save_file(
        weights | {f"{name}.bias": torch.zeros(shape[0]) for name, shape in tensors.items()}, tmp_path / "w.safetensors"
    )
    done = invoke(
        *("bench", "--model", f"{source}:Heads", "--weights", tmp_path / "w.safetensors", "--corpus", corpus),
        *("--label", "pitch", "--features", "mean-mfcc:coefficients=13", "--paradigm", "mpc", "--no-scene"),
        *("--output", "pitch", "--activation-error", "0.0001", "--out", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (row["paradigm"], row["model"], row["agreement"]) == ("mpc", f"{source.name}:Heads", 1.0)


@pytest.mark.slow
def test_features_of_ones_own_network_are_computed_in_the_circuit(source, corpus, tmp_path):
    spec = "mfcc:coefficients=5,frames=7,rate=8000,n_fft=128,hop=40,mels=12,fmin=100.0"
    done = invoke(
        *("bench", "--model", f"{source}:framed", "--corpus", corpus, "--label", "pitch", "--features", spec),
        *("--features-at", "circuit", "--paradigm", "mpc", "--paradigm", "he", "--out", tmp_path / "out"),
    )
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert (row["paradigm"], row["features_at"], row["parameters"]["features"]) == ("mpc", "circuit", "mfcc")
    assert row["agreement"] == 1.0
    assert "left out: he" in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--output", "pitch"], "give --model"),
        (["--activation-error", "0.01"], "give --model"),
        (["--model", f"{__file__}:Net", "--features", "mfcc", "--output", "pitch"], "give its --weights"),
        (["--model", f"{__file__}:Net"], "say what the network takes"),
        (["--features", "mfcc"], "give --model"),
        (["--model", f"{__file__}:Net", "--features", "tea"], "unknown feature"),
        (["--model", f"{__file__}:Net", "--features", "mfcc:tea=1"], "no NAME=VALUE"),
    ],
)
def test_options_that_do_not_go_together_are_told(arguments, line):
    done = invoke("bench", *arguments)
    assert done.exit_code == 2
    assert line in " ".join(done.output.split())
