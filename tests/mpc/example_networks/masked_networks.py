"""Small networks for the modes on masked words: every supported layer, and the shapes that programs stumble over."""

import torch
from networks import Mixed, Pooled
from torch import Tensor, nn


class Residual(nn.Module):
    """The input itself and a product meet: a gate that reads both."""

    def __init__(self):
        super().__init__()
        self.first, self.second, self.head = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x + self.first(x))
        return self.head(x + self.second(x))


class Bare(nn.Module):
    """No gate reads a product alone."""

    def __init__(self):
        super().__init__()
        self.only = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.only(x)


class Shared(nn.Module):
    """One product read by a gate, by another product, and through a mean by a second gate."""

    def __init__(self):
        super().__init__()
        self.conv, self.other = nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 4, 1)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        sums = torch.cat([torch.relu(x).mean(2), torch.relu(self.other(x)).mean(2), torch.relu(x.mean(2))], dim=1)
        return self.head(sums)


class Planar(nn.Module):
    """Two axes: groups, stride, dilation, adaptive pooling into unequal windows."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2)
        self.pool, self.head = nn.AdaptiveAvgPool2d((3, 2)), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(torch.relu(self.first(x))).flatten(1))


#: name -> (module, shape of one example)
NETWORKS = {
    "mixed": (Mixed, (2, 4, 4)),
    "pooled": (Pooled, (3, 28)),
    "residual": (Residual, (6,)),
    "bare": (Bare, (5,)),
    "shared": (Shared, (2, 6)),
    "planar": (Planar, (2, 7, 6)),
    "relu first": (lambda: nn.Sequential(nn.ReLU(), nn.Linear(6, 3)), (6,)),
    "norm first": (lambda: nn.Sequential(nn.BatchNorm1d(3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 3)), (3, 4)),
    "largest first": (lambda: nn.Sequential(nn.MaxPool1d(3, 2), nn.Flatten(), nn.Linear(9, 4)), (3, 7)),
    "pooled last": (
        lambda: nn.Sequential(nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
        (2, 7),
    ),
    "dropout": (
        lambda: nn.Sequential(nn.Dropout(), nn.Linear(6, 6), nn.Dropout(0.1), nn.ReLU(), nn.Linear(6, 3)),
        (6,),
    ),
    "one class": (lambda: nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 1)), (4,)),
    "two classes": (lambda: nn.Linear(4, 2), (4,)),
    "hundred classes": (lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 100)), (6,)),
    "two linears": (lambda: nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 4)), (6,)),
    "four linears": (lambda: nn.Sequential(*(nn.Linear(5, 5) for _ in range(4))), (5,)),
    "more axes": (
        lambda: nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2), nn.Flatten(), nn.ReLU(), nn.Linear(6, 3)),
        (3, 4),
    ),
}


def build(name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """The network in evaluation mode, its numbers drawn from a fixed seed, and the shape of one example."""
    torch.manual_seed(7)
    make, shape = NETWORKS[name]
    module = make()
    for part in module.modules():
        if isinstance(part, (nn.BatchNorm1d, nn.BatchNorm2d)):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return module.eval(), shape
