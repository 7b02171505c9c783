"""A network that goes to another process arrives as it was, and the caller's own stays as it is."""

from __future__ import annotations

import torch
from torch import fx, nn

from sotto.models import ModelError
from sotto.models.shipped import Shipped
from tests.error_codes import raises_code


def network():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv1d(1, 3, 4, stride=4), nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(30, 2))
    layers.register_buffer("unsaved", torch.arange(3.0), persistent=False)
    layers(torch.randn(8, 1, 40))
    return layers.eval()


class Local(nn.Module):
    def __init__(self, branches):
        super().__init__()
        self.layer, self.branches = nn.Linear(3, 2), branches

    def forward(self, x):
        if self.branches and x.sum() > 0:
            return x
        return torch.relu(self.layer(x))


Local.__module__ = "__main__"  # as in a script or a notebook


def test_weights_buffers_and_answers_are_the_same():
    own, x = network(), torch.randn(2, 1, 40)
    before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
    arrived = Shipped.of(own).module()
    assert torch.equal(arrived(x), own(x))
    assert torch.equal(arrived.unsaved, own.unsaved)
    assert arrived[0].weight.data_ptr() != own[0].weight.data_ptr()
    assert all(torch.equal(tensor, before[name]) for name, tensor in own.state_dict().items())


def test_a_class_that_nobody_else_can_import_goes_as_it_is_traced():
    own, x = Local(False).eval(), torch.randn(4, 3)
    arrived = Shipped.of(own).module()
    assert isinstance(arrived, fx.GraphModule)
    assert torch.equal(arrived(x), own(x))


def test_one_that_cannot_be_traced_either_is_refused_with_a_line():
    with raises_code(ModelError, "not-importable") as caught:
        Shipped.of(Local(True))
    assert len(str(caught.value).splitlines()) == 1


def test_print_shows_no_weight():
    assert repr(Shipped.of(network())) == "Shipped()"
