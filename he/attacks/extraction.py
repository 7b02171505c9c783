"""A curious Alice copies Bob's model: she decrypts the logits of every query, and trains on them.

Homomorphic encryption protects Alice's features, not Bob's model.  Each answer is a vector of logits to ~1e-3, far
more than the class that her program reports; what that is worth to a thief is measured here by training a surrogate
on the answers to her queries and counting how often it agrees with the model on features it has not seen
(Tramèr et al., "Stealing machine learning models via prediction APIs", USENIX Security 2016).

Alice uses what is public: the surrogate has the model's depth, its widths rounded up to powers of two and its degree,
which the chain and the rotations tell.  Once she is out of features of her own she asks about made-up ones, from a
Gaussian with the mean and covariance of those she has; a query costs Bob milliseconds and tells him nothing.  She is
held to [-1, 1] here; a deviating Alice is not, nor to the layout of the slots, and may get more from a query.

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

from sotto.he.network.network import PolynomialNetwork
from sotto.link import BadValue
from sotto.models.networks.mlp import MLP

Answers = Literal["logits", "class"]

_MOST_QUERIES = 100_000
_BATCH = 128
_ACTIVATIONS: dict[int, Literal["relu", "poly2", "poly4", "poly6"]] = {2: "poly2", 4: "poly4", 6: "poly6"}


@dataclass(frozen=True)
class Extraction:
    """A surrogate's success.

    Attributes
    ----------
    answers
        what Alice trained on.
    queries
        how many answers.
    fidelity
        share of held-out features to which surrogate and model give the same class.
    chance
        the same for always guessing the model's most frequent class.
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
    queries: Sequence[int] = (512, 2000, 10_000),
    answers: Answers = "logits",
    steps: int = 2000,
    seed: int = 0,
) -> list[Extraction]:
    """Train a surrogate on ``n`` answers for each ``n`` in ``queries``: ``features`` first, then made-up ones.

    Parameters
    ----------
    network
        Bob's model.
    features
        (m, inputs) that Alice has, in [-1, 1], at least two.
    held_out
        (t, inputs) on which fidelity is measured; disjoint from ``features``.
    queries
        how many queries she spends, each at most 100,000.
    answers
        what she learns from each.
    steps
        training steps of each surrogate, on up to 128 queries each.
    seed
        of the surrogate's initial weights and of the made-up queries.
    """
    own, unseen = np.asarray(features, np.float64), np.asarray(held_out, np.float64)
    if not queries or min(queries) < 2 or max(queries) > _MOST_QUERIES or len(own) < 2 or not len(unseen):
        raise BadValue(
            "out-of-range", f"queries are 2 to {_MOST_QUERIES}, features at least two, held-out features at least one"
        )
    sent = np.concatenate([own, _made_up(own, max(0, max(queries) - len(own)), seed)])
    truth = network.logits(unseen).argmax(axis=1)
    chance = float(np.bincount(truth).max() / len(truth))
    results = []
    for count in queries:
        surrogate = _train(network, sent[:count], answers, steps, seed)
        with torch.no_grad():
            guesses = surrogate(_tensor(unseen)).argmax(dim=1).numpy()
        results.append(Extraction(answers, count, float((guesses == truth).mean()), chance))
    return results


def _made_up(own: npt.NDArray[np.float64], count: int, seed: int) -> npt.NDArray[np.float64]:
    """Features (count, inputs) with the mean and covariance of her own, within [-1, 1]."""
    random = np.random.default_rng(seed)
    covariance = np.atleast_2d(np.cov(own.T)) + 1e-4 * np.eye(own.shape[1])
    return np.clip(random.multivariate_normal(own.mean(axis=0), covariance, count), -1, 1)


def _train(
    network: PolynomialNetwork, sent: npt.NDArray[np.float64], answers: Answers, steps: int, seed: int
) -> nn.Module:
    """A network of the model's public shape, trained on the answers to what was ``sent``."""
    logits = _tensor(network.logits(sent))
    scale = logits.std().clamp_min(1e-6)
    widths = tuple(1 << (layer.weight.shape[0] - 1).bit_length() for layer in network.layers[:-1])
    activation = _ACTIVATIONS[len(network.polynomials[0]) - 1] if network.polynomials else "relu"
    surrogate = MLP(network.inputs, widths, network.classes, activation, batch_norm=True)
    start = torch.Generator().manual_seed(seed)
    for layer in surrogate.modules():
        if isinstance(layer, nn.Linear):
            nn.init.kaiming_uniform_(layer.weight, a=5**0.5, generator=start)
            nn.init.zeros_(layer.bias)
    optimiser = torch.optim.Adam(surrogate.parameters(), lr=3e-3, weight_decay=1e-3 if len(sent) <= 1000 else 1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    x = _tensor(sent)
    surrogate.train()
    for _ in range(steps):
        chosen = torch.randperm(len(sent), generator=start)[:_BATCH]
        optimiser.zero_grad()
        output = surrogate(x[chosen])
        if answers == "logits":
            loss = nn.functional.mse_loss(output, logits[chosen] / scale)
        else:
            loss = nn.functional.cross_entropy(output, logits[chosen].argmax(dim=1))
        loss.backward()
        optimiser.step()
        schedule.step()
    return surrogate.eval()


def _tensor(values: npt.NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))
