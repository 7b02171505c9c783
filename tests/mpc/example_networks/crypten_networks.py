"""crypten.nn models, by name, with what they compute in clear; and Bob with one of them as a process.

``python crypten_networks.py MODE DEALER_PORT NAME EXAMPLES`` prints the port at which Bob waits for Alice, whom he
answers twice: logits, then classes.
"""

import sys

import torch
import torch.nn.functional as F

from sotto.link import connect, listen
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.crypten_api.tensor import ALICE, BOB, Party

crypten = load_crypten()
nn = crypten.nn


class Residual(nn.Module):
    """Two axes: a sum by operator, both kinds of pooling side by side, a product with a matrix."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, (3, 3), padding=(1, 1), bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.largest = nn.MaxPool2d(2, stride=2)
        self.average = nn.AvgPool2d(2)
        self.matrix = nn.MatMul(torch.randn(8, 6) / 3)
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        x = self.norm(self.first(x)).relu()
        x = x + self.second(x)
        x = crypten.cat([self.largest(x), self.average(x)], dim=1)
        return self.head(self.matrix(x.mean([2, 3])))


class OneAxis(nn.Module):
    """One axis, pooled by a detour over two; a sum into its own place; a linear layer before the last axis is flat."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(3, 4, 3, stride=2, dilation=2)
        self.relu = nn.ReLU()
        self.adaptive = nn.AdaptiveAvgPool2d((1, 6))
        self.wide = nn.Linear(6, 6)
        self.flat = nn.Flatten()
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(24, 5, bias=False)
        self.norm = nn.BatchNorm1d(5)

    def forward(self, x):
        x = self.adaptive(self.relu(self.conv(x)).unsqueeze(2)).squeeze(2)
        y = self.wide(x)
        y += x
        return self.norm(self.out(self.drop(self.flat(y))))


def _sequential():
    return nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(32, 5)
    )


INPUT_SHAPES = {"sequential": (2, 8), "residual": (2, 4, 4), "one_axis": (3, 28)}


def build(name, *, seed=30):
    """The model ``name`` in evaluation mode, from a fixed seed."""
    torch.manual_seed(seed)
    model = {"sequential": _sequential, "residual": Residual, "one_axis": OneAxis}[name]()
    for part in [model, *model.modules()]:
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5)
            part.running_var.uniform_(0.5, 2.0)
    return model.eval()


def in_clear(name, x):
    """Logits of ``build(name)`` by PyTorch's functions: crypten.nn models do not run on plain tensors."""
    model = build(name)
    own = {key: value.detach() for key, value in [*model.named_parameters(), *model.named_buffers()]}

    def norm(x, at):
        return F.batch_norm(x, *(own[f"{at}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")))

    if name == "sequential":
        x = F.conv1d(x, own["0.weight"], own["0.bias"], padding=1)
        return F.linear(norm(x, "1").relu().flatten(1), own["5.weight"], own["5.bias"])
    if name == "residual":
        x = norm(F.conv2d(x, own["first.weight"], padding=1), "norm").relu()
        x = x + F.conv2d(x, own["second.weight"], own["second.bias"], padding=1, groups=2)
        x = torch.cat([F.max_pool2d(x, 2), F.avg_pool2d(x, 2)], dim=1).mean([2, 3])
        return F.linear(x @ own["matrix.weight"], own["head.weight"], own["head.bias"])
    x = F.conv1d(x, own["conv.weight"], own["conv.bias"], stride=2, dilation=2).relu()
    x = F.adaptive_avg_pool1d(x, 6)
    x = F.linear(x, own["wide.weight"], own["wide.bias"]) + x
    return norm(F.linear(x.flatten(1), own["out.weight"]), "norm")


def bob(mode, dealer_port, name, examples):
    dealer_link = connect("127.0.0.1", int(dealer_port), peer="the dealer")
    with listen() as door:
        print(door.address[1], flush=True)
        alice = door.accept(peer="alice")
    model = build(name)
    with Party(BOB, alice, dealer_link, mode=mode, input_limit=8.0):
        model.encrypt(src=BOB)
        logits = model(crypten.cryptensor(torch.zeros(int(examples), *INPUT_SHAPES[name]), src=ALICE))
        logits.get_plain_text(dst=ALICE)
        logits.argmax(dim=1, one_hot=False).get_plain_text(dst=ALICE)


if __name__ == "__main__":
    torch.set_num_threads(1)
    bob(*sys.argv[1:])
