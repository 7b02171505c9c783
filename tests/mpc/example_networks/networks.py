"""Networks for the tests of mpc, by name, seeded; the children's processes build the same ones."""

import torch
from torch import Tensor, nn

from sotto.models.networks.emotion_cnn import Depinto, Frames
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.messages import Terms


class Mixed(nn.Module):
    """Two axes, both ways of batch norm, pooling, a residual sum, a concatenation and a mean."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
        self.relu = nn.ReLU()
        self.alone = nn.BatchNorm2d(4)
        self.largest = nn.MaxPool2d(2)
        self.mean = nn.AvgPool2d(2)
        self.head = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.norm(self.first(x)))
        x = self.alone(x + self.second(x))
        x = torch.cat([self.largest(x), self.mean(x)], dim=1)
        return self.head(x.mean(dim=(2, 3)).unsqueeze(1).flatten(1))


class Pooled(nn.Module):
    """One axis: adaptive pooling into equal and into unequal windows, max pooling, a linear layer with batch norm."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, stride=2, dilation=2)
        self.even = nn.AdaptiveAvgPool1d(6)
        self.uneven = nn.AdaptiveAvgPool1d(4)
        self.largest = nn.MaxPool1d(2)
        self.dropout = nn.Dropout()
        self.linear = nn.Linear(8, 5)
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.largest(self.uneven(self.even(torch.relu(self.conv(x)))))
        return self.norm(self.linear(self.dropout(x.reshape(x.size(0), -1))))


INPUT_SHAPES = {"depinto": (40,), "frames": (40, 188), "mixed": (2, 4, 4), "pooled": (3, 28)}


def build(name: str) -> nn.Module:
    """The network ``name`` in evaluation mode, weights and running statistics drawn from a fixed seed."""
    torch.manual_seed(20)
    module = {"depinto": Depinto, "frames": Frames, "mixed": Mixed, "pooled": Pooled}[name]()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module.eval()


def tiny(width: int = 3) -> nn.Module:
    """A network of four inputs and two classes, seeded: bundles of it are small."""
    torch.manual_seed(21)
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 2)).eval()


def tiny_terms(width: int = 3, reveal: str = "class") -> Terms:
    """What a dealer is told about :func:`tiny`."""
    plan, weights = trace(tiny(width), (4,), input_limit=8.0)
    return Terms(plan, value_ranges(plan, weights), reveal)
