"""Every test draws the same weights and sounds each time it runs."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    """Seed torch: untrained networks and noise are drawn from its global generator."""
    torch.manual_seed(0)
