"""Small models, one for each paradigm, with what belongs to them and some examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from sotto import adversarial, hashing
from sotto.models.networks.mlp import MLP


@dataclass(frozen=True)
class Model:
    """``plain``: the classes of the examples ``x`` in the clear; ``needs``: what ``sotto.local`` takes besides."""

    paradigm: str
    model: Any
    x: np.ndarray
    plain: np.ndarray
    needs: dict[str, Any] = field(default_factory=dict)


class Blocks(nn.Module):
    """A network that mpc and keyed can run, with dropout that must not act."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(1, 6, 4, stride=4)
        self.dropout = nn.Dropout(0.9)
        self.last = nn.Linear(60, 3)

    def forward(self, x):
        return self.last(self.dropout(torch.relu(self.first(x))).flatten(1))


def blocks(paradigm):
    torch.manual_seed(0)
    model = Blocks().train()
    x = np.random.default_rng(0).normal(size=(6, 1, 40)).astype(np.float32)
    with torch.inference_mode():
        plain = model.eval()(torch.from_numpy(x)).argmax(1).numpy()
    return Model(paradigm, model.train(), x, plain, {"input_shape": (1, 40)})


def polynomial():
    torch.manual_seed(0)
    model = MLP(inputs=6, hidden=(5,), classes=3, activation="poly2").eval()
    x = np.random.default_rng(0).uniform(-1, 1, size=(6, 6)).astype(np.float32)
    with torch.inference_mode():
        plain = model(torch.from_numpy(x)).argmax(1).numpy()
    return Model("he", model, x, plain, {"calibration": x})


def hashed():
    x = np.random.default_rng(0).normal(size=(24, 6)).astype(np.float32)
    key = hashing.HashKey.generate(hashing.HashParameters(inputs=6, k=3, delta=1.0))
    speakers = [str(place % 4) for place in range(len(x))]
    training = hashing.training_hashes(key, x, (x[:, 0] > 0).astype(int), classes=("low", "high"), speakers=speakers)
    model = hashing.HammingSVC().fit(training.hashes, training.labels, fingerprint=key.fingerprint)
    plain = model.predict(hashing.pack(hashing.modular_hash(x[:6], key), 3))
    return Model("hashing", model, x[:6], plain, {"key": key})


def pair():
    torch.manual_seed(0)
    sensor = adversarial.Sensor(rate=8000, mask="none", extractor=(4, 4), mels=16, dimensions=8).eval()
    classifier = adversarial.Classifier(3, 8).eval()
    x = np.random.default_rng(0).normal(size=(6, 8000)).astype(np.float32)
    with torch.inference_mode():
        plain = classifier(sensor(torch.from_numpy(x)).half().float()).argmax(1).numpy()
    return Model("adversarial", classifier, x, plain, {"sensor": sensor})


MODELS = {
    "mpc": lambda: blocks("mpc"),
    "he": polynomial,
    "hashing": hashed,
    "keyed": lambda: blocks("keyed"),
    "adversarial": pair,
}
