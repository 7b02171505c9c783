"""The emotion networks: shapes of the published layers, and only layers that secure computation handles."""

import pytest
import torch
import torch.fx
from torch import nn

from sotto.models import Depinto, Frames, ModelError, build, names
from tests.error_codes import raises_code

SECURE = (nn.Conv1d, nn.BatchNorm1d, nn.ReLU, nn.AvgPool1d, nn.Flatten, nn.Dropout, nn.Linear)


@pytest.mark.parametrize(
    ("module", "shape"), [(Depinto(8), (3, 1, 40)), (Depinto(8), (3, 40)), (Frames(8), (3, 40, 188))]
)
def test_traces_with_fx_into_secure_layers(module, shape):
    module.eval()
    traced = torch.fx.symbolic_trace(module)
    x = torch.randn(shape)
    torch.testing.assert_close(traced(x), module(x))
    assert module(x).shape == (3, 8)
    for node in traced.graph.nodes:
        assert node.op in ("placeholder", "call_module", "output") or node.target is torch.reshape
        if node.op == "call_module":
            assert isinstance(traced.get_submodule(node.target), SECURE)


def test_published_sizes():
    depinto, frames = Depinto(8), Frames(8)
    assert depinto.linear.weight.shape == (8, 2560)
    convolutions = [m for m in frames.modules() if isinstance(m, nn.Conv1d)]
    assert [(c.in_channels, c.out_channels) for c in convolutions] == [(40, 64), (64, 64), (64, 128)]
    assert all(c.kernel_size == (5,) and c.stride == (2,) and c.padding == (2,) for c in convolutions)
    assert frames.trunk(torch.zeros(2, 40, 188)).shape == (2, 128, 24)


def test_frames_head_covers_all_steps():
    module = Frames(5, coefficients=20, frames=61).eval()
    assert module(torch.randn(2, 20, 61)).shape == (2, 5)
    assert module.pool(module.trunk(torch.randn(2, 20, 61))).shape == (2, 128, 1)


def test_build_knows_only_the_table():
    assert isinstance(build("frames", {"classes": 4}), Frames)
    assert {"depinto", "frames", "mlp"} <= set(names())
    with raises_code(ModelError, "unknown-architecture"):
        build("sotto.models.networks.emotion_cnn.Frames", {})
    with raises_code(ModelError, "cannot-build"):
        build("frames", {"frames": 0})
