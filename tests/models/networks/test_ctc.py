"""The best path: repetitions, then blanks, are removed; and what the recogniser takes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from sotto.link import BadValue
from sotto.models.networks.ctc import PatchCTC, best_path
from tests.error_codes import raises_code


def _scores(path, symbols=4):
    return F.one_hot(torch.tensor([path]), symbols).transpose(1, 2).float()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([0, 0, 0], []),
        ([1, 1, 1], [0]),
        ([1, 0, 1], [0, 0]),
        ([0, 2, 2, 0, 0, 3, 1, 1], [1, 2, 0]),
        ([3, 3, 0, 3, 2, 2, 2, 0], [2, 2, 1]),
    ],
)
def test_repetitions_and_blanks_are_removed(path, words):
    assert best_path(_scores(path)) == [words]


def test_scores_are_log_probabilities_once_a_block():
    module = PatchCTC(10, bands=48).eval()
    with torch.no_grad():
        scores = module(torch.randn(2, 48, 62))
    assert scores.shape == (2, 11, 20)
    assert torch.allclose(scores.exp().sum(1), torch.ones(2, 20), atol=1e-5)


def test_what_fills_no_block_is_not_read():
    module = PatchCTC(10, bands=48).eval()
    x = torch.randn(1, 48, 60)
    with torch.no_grad():
        assert torch.equal(module(torch.cat([x, torch.ones(1, 48, 2)], 2)), module(x))


def test_too_few_bands_are_refused():
    with raises_code(BadValue, "too-few-bands"):
        PatchCTC(10, bands=9)
