"""Values scaled by a power of two that is found in steps: next to a step all parts must take the same power."""

import malicious_parties
import masked_parties
import numpy as np
import pytest
import torch
from torch import nn

EPSILON = 1e-5
MODES = {"semi-honest": masked_parties.Trio, "malicious": malicious_parties.Trio}


def next_to_a_step(count):
    """Vectors of 8 numbers in units of 2^-16 whose mean square and epsilon come next to a power of four."""
    rng, found = np.random.default_rng(1), []
    for power in (-8, -4, -1, 1):
        squares = 8 * (4.0**power - EPSILON) * 2.0**32
        words = np.rint(rng.uniform(0.5, 1.2, (4000, 8)) * np.sqrt(squares / 8))
        left = squares - (words[:, :7] ** 2).sum(axis=1)
        words, left = words[left > 0], left[left > 0]
        words[:, 7] = np.rint(np.sqrt(left))
        found.append(words[np.abs((words**2).sum(axis=1) - squares).argsort()[:count]])
    return (np.concatenate(found) / 2**16).astype(np.float32)


@pytest.mark.parametrize("mode", MODES)
def test_no_part_of_a_norm_takes_another_power_than_the_rest(mode):
    module = nn.RMSNorm(8, eps=EPSILON, elementwise_affine=False).eval()
    x = next_to_a_step(100)
    with MODES[mode](module, (8,), reveal="values") as trio:
        found = np.stack([trio.ask(x).scores for _ in range(3)])  # each at random thresholds of its own
    with torch.no_grad():
        expected = module.double()(torch.from_numpy(x).double()).numpy()
    assert np.abs(found - expected).max() < 0.01
