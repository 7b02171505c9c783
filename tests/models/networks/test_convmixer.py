"""ConvMixer: shapes, what it does not read, and what it refuses."""

from __future__ import annotations

import torch

from sotto.link import BadValue
from sotto.models.networks.convmixer import ConvMixer
from tests.error_codes import raises_code


def test_logits_and_what_fills_no_block():
    module = ConvMixer(4, block_size=8, width=8, depth=2).eval()
    x = torch.randn(3, 16, 40)
    with torch.no_grad():
        logits = module(x)
        assert logits.shape == (3, 4)
        assert torch.equal(module(torch.nn.functional.pad(x, (0, 5, 0, 3), value=9.0)), logits)


def test_an_even_kernel_is_refused():
    with raises_code(BadValue, "even-kernel"):
        ConvMixer(4, kernel=4)
