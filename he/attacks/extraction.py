"""A curious Alice copies Bob's model: she decrypts the logits of every query, and trains on them.

Homomorphic encryption protects Alice's features, not Bob's model.  Each answer is a vector of logits to ~1e-3, far
more than the class that her program reports; what that is worth to a thief is measured here by training a surrogate
on the answers to her queries and counting how often it agrees with the model on features it has not seen
(Tramèr et al., "Stealing machine learning models via prediction APIs", USENIX Security 2016).

The attack runs against the network in the clear, which the encrypted one equals to within 1/128 of a logit.
``"class"`` is what she would have if only the class reached her, which this protocol cannot arrange: the gap between
the two is the price of giving the logits to Alice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from he.network import PolynomialNetwork
from models.mlp import MLP

Answers = Literal["logits", "class"]


@dataclass(frozen=True)
class Extraction:
    """A surrogate's success.

    Attributes:
        answers: what Alice trained on.
        queries: how many answers.
        fidelity: share of held-out features to which surrogate and model give the same class.
        chance: the same for always guessing the model's most frequent class.
    """

    answers: Answers
    queries: int
    fidelity: float
    chance: float


def extract_model(
    network: PolynomialNetwork,
    features: npt.ArrayLike,
    held_out: npt.ArrayLike,
    *,
    queries: Sequence[int] = (32, 128, 512),
    answers: Answers = "logits",
    steps: int = 400,
    seed: int = 0,
) -> list[Extraction]:
    """Train a surrogate on the first ``n`` of ``features`` for each ``n`` in ``queries``.

    Args:
        network: Bob's model.
        features: (m, inputs) that Alice can send, in [-1, 1].
        held_out: (t, inputs) on which fidelity is measured; disjoint from ``features``.
        queries: how many queries she spends, each at most m.
        answers: what she learns from each.
        steps: training steps of each surrogate, over all its queries at once.
        seed: of the surrogate's initial weights.
    """
    sent, unseen = np.asarray(features, np.float64), np.asarray(held_out, np.float64)
    if not queries or min(queries) < 1 or max(queries) > len(sent) or not len(unseen):
        raise ValueError(f"queries are between 1 and the {len(sent)} features given, held-out features at least one")
    truth = network.logits(unseen).argmax(axis=1)
    chance = float(np.bincount(truth).max() / len(truth))
    results = []
    for count in queries:
        surrogate = _train(network, sent[:count], answers, steps, seed)
        with torch.no_grad():
            guesses = surrogate(_tensor(unseen)).argmax(dim=1).numpy()
        results.append(Extraction(answers, count, float((guesses == truth).mean()), chance))
    return results


def _train(
    network: PolynomialNetwork, sent: npt.NDArray[np.float64], answers: Answers, steps: int, seed: int
) -> nn.Module:
    """A ReLU network of the model's published input and output width; what lies between is Alice's guess."""
    logits = _tensor(network.logits(sent))
    scale = logits.std().clamp_min(1e-6)
    surrogate = MLP(network.inputs, (64,), network.classes, "relu", batch_norm=False)
    start = torch.Generator().manual_seed(seed)
    for layer in surrogate.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=start)
            nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(surrogate.parameters(), lr=5e-3, weight_decay=1e-4)
    x = _tensor(sent)
    for _ in range(steps):
        optimiser.zero_grad()
        output = surrogate(x)
        if answers == "logits":
            loss = nn.functional.mse_loss(output, logits / scale)
        else:
            loss = nn.functional.cross_entropy(output, logits.argmax(dim=1))
        loss.backward()
        optimiser.step()
    return surrogate.eval()


def _tensor(values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
