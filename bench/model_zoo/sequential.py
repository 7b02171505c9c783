"""Recurrent networks, and networks that pool over time: each written anew and small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CnnLstm(nn.Module):
    """Convolution, then a bidirectional LSTM, its last output classified."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(20, 16, 5, stride=4), nn.BatchNorm1d(16)
        self.lstm, self.head = nn.LSTM(16, 12, batch_first=True, bidirectional=True), nn.Linear(24, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv(x))).transpose(1, 2)
        return self.head(self.lstm(x)[0][:, -1])


class Gru(nn.Module):
    """Two layers of GRU over frames, the last state classified."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.head = nn.GRU(20, 12, num_layers=2, batch_first=True), nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        _, last = self.gru(x.transpose(1, 2)[:, ::4])
        return self.head(last[-1])


class Elman(nn.Module):
    """A plain recurrent layer with tanh, time first."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.head = nn.RNN(20, 12), nn.Linear(12, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x.permute(2, 0, 1)[::4])[0].mean(dim=0))


class AttentionPooling(nn.Module):
    """Bidirectional GRU, its frames weighted by a learnt softmax over time."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(20, 8, batch_first=True, bidirectional=True)
        self.score, self.head = nn.Linear(16, 1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.gru(x.transpose(1, 2)[:, ::4, :])
        weight = torch.softmax(torch.tanh(self.score(x)), dim=1)
        return self.head((weight * x).sum(dim=1))


class XVector(nn.Module):
    """Time-delay layers, then mean and standard deviation over time side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = nn.Sequential(
            nn.Conv1d(20, 16, 5), nn.ReLU(), nn.BatchNorm1d(16), nn.Conv1d(16, 16, 3, dilation=2), nn.ReLU(),
            nn.BatchNorm1d(16), nn.Conv1d(16, 24, 1), nn.ReLU(), nn.BatchNorm1d(24),
        )  # fmt: skip
        self.segment = nn.Sequential(nn.Linear(48, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 8))

    def forward(self, x: Tensor) -> Tensor:
        x = self.frames(x)
        return self.segment(torch.cat([x.mean(dim=2), x.std(dim=2)], dim=1))


class AttentiveStatistics(nn.Module):
    """ECAPA-TDNN's pooling: weighted mean and deviation per channel, deviation clamped from below."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(20, 16, 5, padding=2)
        self.one, self.two = nn.Conv1d(16, 8, 1), nn.Conv1d(8, 16, 1)
        self.norm, self.head = nn.BatchNorm1d(32), nn.Linear(32, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv(x))
        weight = torch.softmax(self.two(torch.tanh(self.one(x))), dim=2)
        mean = (weight * x).sum(dim=2)
        variance = (weight * x**2).sum(dim=2) - mean**2
        return self.head(self.norm(torch.cat([mean, variance.clamp(min=1e-2).sqrt()], dim=1)))


class Res2Net(nn.Module):
    """Res2Net block: channels in groups, each convolved after adding the one before."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(20, 16, 1)
        self.convs = nn.ModuleList([nn.Conv1d(4, 4, 3, padding=1) for _ in range(3)])
        self.last, self.head = nn.Conv1d(16, 16, 1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x))
        parts = list(torch.chunk(x, 4, dim=1))
        for number, conv in enumerate(self.convs, start=1):
            parts[number] = F.relu(conv(parts[number] + parts[number - 1]))
        return self.head((x + self.last(torch.cat(parts, dim=1))).mean(dim=2))


class TanhHead(nn.Module):
    """Emotion head on frames of a self-supervised model: mean over time, dense, tanh, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.dense, self.out_proj = nn.Dropout(0.1), nn.Linear(20, 24), nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.mean(x.transpose(1, 2), dim=1)
        return self.out_proj(self.dropout(torch.tanh(self.dense(self.dropout(x)))))


class WeightedLayers(nn.Module):
    """SUPERB's probe: hidden states of all layers, weighted by a softmax of learnt numbers, then a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.linspace(-1, 1, 5))
        self.projector, self.classifier = nn.Linear(16, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:  # (n, layers, time, features)
        norm = F.softmax(self.weights, dim=-1)
        x = (x * norm.view(-1, 1, 1)).sum(dim=1)
        return self.classifier(self.projector(x).mean(dim=1))


class ScaledInput(nn.Module):
    """Mean and deviation of the training set as buffers, applied inside the network."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.linspace(-1, 1, 20).view(20, 1))
        self.register_buffer("deviation", torch.linspace(0.5, 2, 20).view(20, 1))
        self.conv, self.head = nn.Conv1d(20, 16, 5), nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - self.mean) / self.deviation
        return self.head(torch.relu(self.conv(x)).mean(2))


class CroppedInput(nn.Module):
    """Slices and pads after looking at shapes, as code for clips of any length does."""

    def __init__(self, frames: int = 24) -> None:
        super().__init__()
        self.frames, self.conv, self.head = frames, nn.Conv1d(20, 8, 3), nn.Linear(8 * 11, 6)

    def forward(self, x: Tensor) -> Tensor:
        if x.size(-1) > self.frames:
            x = x[..., : self.frames]
        elif x.size(-1) < self.frames:
            x = F.pad(x, (0, self.frames - x.size(-1)))
        if x.dim() == 2:
            x = x.unsqueeze(0)
        x = F.max_pool1d(F.relu(self.conv(x)), 2)
        return self.head(x.reshape(x.size(0), -1))


class Dictionary(nn.Module):
    """Returns a dictionary, logits among other things."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(20, 16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = torch.relu(self.encoder(x.mean(dim=2)))
        logits = self.head(hidden)
        return {"embedding": hidden, "logits": logits, "probabilities": logits.softmax(-1)}
