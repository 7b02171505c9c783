"""Orion as its users write it, in one process: a convolutional network of squares under CKKS.

``python orion_program.py FOLDER`` (:mod:`sotto.bench.peers.job`) in an environment of its own that has ``orion-fhe``;
this file and the modules beside it need nothing else.

Orion 1.0.2 writes no ciphertext and no public key to bytes, so Alice and Bob cannot be two processes: this one makes
the keys, encrypts, evaluates and decrypts.  What it says is what the computation takes, and nothing of a link.

Its packing reads a kernel's height and width in each other's place and pads both alike, so a convolution over time is
the middle row of a square kernel: the other rows see padding alone, and the library drops what sees padding.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import sys
import time
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

# These files are found beside this one, which is run by its path.
from two_processes import (  # type: ignore[import-not-found]
    milliseconds_since,
    peak_rss_mb,
    read_request,
    take_queries,
)

if importlib.util.find_spec("torchvision") is None:  # it is for example corpora alone
    vision: Any = types.ModuleType("torchvision")
    vision.datasets = vision.transforms = vision
    sys.modules["torchvision"] = vision

import orion  # type: ignore[import-not-found]
import orion.nn as layers  # type: ignore[import-not-found]
from orion.core import packing  # type: ignore[import-not-found]

#: The Homomorphic Encryption Standard's largest modulus, in bits, for 128-bit security and a ternary secret, by log2 N.
_MODULUS_BITS = {13: 218, 14: 438, 15: 881}
_LEAST_SCALE, _LARGEST_SCALE, _HEADROOM = 30, 40, 15  # bits; the first and the special prime are larger than the scale


def parameters(depth: int) -> dict[str, Any]:
    """The smallest ring whose modulus holds ``depth`` levels; the secret is not sparse, as Orion's default would be."""
    for log_degree, bits in _MODULUS_BITS.items():
        scale = min(_LARGEST_SCALE, (bits - 2 * _HEADROOM) // (depth + 2))
        if scale >= _LEAST_SCALE:
            end = scale + _HEADROOM
            ckks = {"LogN": log_degree, "LogQ": [end, *[scale] * depth], "LogP": [end], "LogScale": scale}
            return {
                "ckks_params": {**ckks, "H": 1 << (log_degree - 1), "RingType": "standard"},
                "orion": {"backend": "lattigo", "fuse_modules": False, "debug": False, "io_mode": "none"},
            }
    raise ValueError(f"no ring of 128-bit security holds {depth} levels")


class Convolution(layers.Conv2d):
    """A convolution over time, of images of height 1, whose bias (outputs, steps) depends on the place."""

    def __init__(self, weight: Any, bias: Any, stride: int, padding: int) -> None:
        outputs, inputs, kernel = weight.shape
        if kernel != 2 * padding + 1:
            raise ValueError(f"a kernel of {kernel} with padding {padding} does not fit the packing")
        super().__init__(inputs, outputs, kernel, stride=stride, padding=padding, bias=False)
        with torch.no_grad():
            self.weight.zero_()[:, :, padding] = torch.from_numpy(weight)
        self.places = torch.from_numpy(bias)[None, :, None]

    def forward(self, x: Any) -> Any:
        """In the clear, to measure shapes and ranges, or encrypted."""
        return super().forward(x) if self.he_mode else super().forward(x) + self.places

    def compile(self) -> None:
        """As its parent, which knows a bias for each output only."""
        super().compile()
        bias, placed = torch.zeros(self.fhe_output_shape), packing.multiplex(self.places, self.output_gap)
        bias[tuple(slice(size) for size in placed.shape)] = placed
        self.on_bias_ptxt = self.scheme.encoder.encode(bias.flatten(), self.level - self.depth)


class Network(layers.Module):
    """Convolutions and squares, then one linear layer; ``arrays`` holds ``layer.weight`` and ``layer.bias``."""

    def __init__(self, public: Mapping[str, list[int]], arrays: Mapping[str, Any]) -> None:
        super().__init__()
        shapes = list(zip(public["stride"], public["padding"], strict=True))
        convolutions = [
            Convolution(arrays[f"{n}.weight"], arrays[f"{n}.bias"], *shape) for n, shape in enumerate(shapes)
        ]
        self.convolutions = torch.nn.ModuleList(convolutions)
        self.squares = torch.nn.ModuleList(layers.Quad() for _ in shapes)
        self.flatten = layers.Flatten()
        weight, bias = (torch.from_numpy(arrays[f"{len(shapes)}.{part}"]) for part in ("weight", "bias"))
        self.last = layers.Linear(weight.shape[1], weight.shape[0])
        self.last.load_state_dict({"weight": weight, "bias": bias})

    def forward(self, x: Any) -> Any:
        """Logits."""
        for convolution, square in zip(self.convolutions, self.squares, strict=True):
            x = square(convolution(x))
        return self.last(self.flatten(x))


def main(folder: Path) -> None:
    """Do what the folder asks and write ``response.json``."""
    torch.set_num_threads(1)
    request = read_request(folder)
    public = json.loads(request["network"])
    with np.load(folder / "arrays.npz", allow_pickle=False) as stored:
        arrays = {name: np.asarray(stored[name], np.float32) for name in stored.files}
    queries = torch.from_numpy(arrays["queries"])
    queries = queries.reshape(len(queries), -1, 1, queries.shape[-1])
    started = time.perf_counter()
    orion.init_scheme(parameters(2 * len(public["stride"]) + 1))
    network = Network(public, arrays)
    network.eval()
    orion.fit(network, torch.zeros(1, *queries.shape[1:]))
    level = orion.compile(network)
    network.he()
    setup = milliseconds_since(started)
    scores: list[list[float]] = []

    def ask(start: int, stop: int) -> tuple[float, list[int]]:
        started = time.perf_counter()
        query = orion.encrypt(orion.encode(queries[start:stop], level))
        logits = network(query).decrypt().decode().reshape(stop - start, request["classes"])
        labels = [int(label) for label in logits.argmax(dim=1)]
        elapsed = milliseconds_since(started)
        scores[start:stop] = logits.tolist()
        return elapsed, labels

    answers = take_queries(request, ask, sent=lambda: 0)["answers"]
    response = {
        **answers,
        "cpu_seconds": {"alice and bob": answers["cpu_seconds"]},
        "setup_ms": setup,
        "scores": scores,
        "bytes_alice": 0,
        "bytes_bob": 0,
        "rounds": None,
        "peak_rss_mb": round(peak_rss_mb(), 1),
        "versions": {"orion-fhe": importlib.metadata.version("orion-fhe")},
    }
    (folder / "response.json").write_text(json.dumps(response))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
