"""Networks with attention: each written anew and small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Transformer(nn.Module):
    """PyTorch's own encoder layers over strided frames, mean over time."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv1d(20, 16, 4, stride=4)
        layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True, activation="gelu")
        self.encoder, self.head = nn.TransformerEncoder(layer, 2), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x).transpose(1, 2)).mean(dim=1))


class PreNormTransformer(nn.Module):
    """Norm first, a learnt class token and positions: the audio spectrogram transformer's shape."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, 16, (5, 8), stride=(5, 8))
        self.token = nn.Parameter(torch.linspace(-0.5, 0.5, 16).view(1, 1, 16))
        self.position = nn.Parameter(torch.sin(torch.arange(17 * 16.0)).view(1, 17, 16) * 0.2)
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True)
        self.norm, self.head = nn.LayerNorm(16), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x.unsqueeze(1)).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        return self.head(self.norm(self.layer(x))[:, 0])


class CausalAttention(nn.Module):
    """Causal attention written with scaled_dot_product_attention, root-mean-square norms and a gated feed-forward."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(20, 16)
        self.norm1, self.norm2 = nn.RMSNorm(16, eps=1e-5), nn.RMSNorm(16, eps=1e-5)
        self.qkv, self.out = nn.Linear(16, 48, bias=False), nn.Linear(16, 16, bias=False)
        self.gate, self.up, self.down = nn.Linear(16, 32), nn.Linear(16, 32), nn.Linear(32, 16)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.transpose(1, 2)[:, ::4])
        n, time, width = x.shape
        q, k, v = (each.view(n, time, 2, 8).transpose(1, 2) for each in self.qkv(self.norm1(x)).split(width, dim=2))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(n, time, width))
        y = self.norm2(x)
        return self.head((x + self.down(F.silu(self.gate(y)) * self.up(y)))[:, -1])


class PaddedAttention(nn.Module):
    """Multi-head attention with a public padding mask and time first."""

    padded: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(20, 4)
        self.register_buffer("padded", torch.arange(8) >= 6)
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, ::4].permute(2, 0, 1)
        mask = self.padded.unsqueeze(0).expand(x.shape[1], -1)
        y, _ = self.attention(x, x, x, key_padding_mask=mask)
        y = y.masked_fill(mask.T.unsqueeze(-1), 0.0)
        return self.head(y.sum(dim=0) / (~self.padded).sum())


class Conformer(nn.Module):
    """Half feed-forward, attention, gated depthwise convolution, half feed-forward, norms between."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(20, 16)
        self.norms = nn.ModuleList([nn.LayerNorm(16) for _ in range(5)])
        self.first = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.point, self.depth = nn.Conv1d(16, 32, 1), nn.Conv1d(16, 16, 5, padding=2, groups=16)
        self.norm, self.last = nn.BatchNorm1d(16), nn.Conv1d(16, 16, 1)
        self.second = nn.Sequential(nn.Linear(16, 32), nn.SiLU(), nn.Linear(32, 16))
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x.transpose(1, 2)[:, ::4])
        x = x + 0.5 * self.first(self.norms[0](x))
        y = self.norms[1](x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        y = F.glu(self.point(self.norms[2](x).transpose(1, 2)), dim=1)
        x = x + self.last(F.silu(self.norm(self.depth(y)))).transpose(1, 2)
        x = self.norms[4](x + 0.5 * self.second(self.norms[3](x)))
        return self.head(x.mean(dim=1))


class Wav2vecEncoder(nn.Module):
    """The start of wav2vec 2.0: strided convolutions of a waveform, group norm, GELU, layer norm, projection."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0, self.norm0 = nn.Conv1d(1, 16, 10, stride=5, bias=False), nn.GroupNorm(16, 16)
        self.conv1, self.conv2 = nn.Conv1d(16, 16, 3, stride=4, bias=False), nn.Conv1d(16, 16, 3, stride=2, bias=False)
        self.norm, self.project, self.head = nn.LayerNorm(16), nn.Linear(16, 20), nn.Linear(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.gelu(self.norm0(self.conv0(x)))
        x = F.gelu(self.conv2(F.gelu(self.conv1(x))))
        return self.head(self.project(self.norm(x.transpose(1, 2))).mean(dim=1))


class Mixer(nn.Module):
    """MLP over time, then over channels, with norms and residual sums."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(20), nn.LayerNorm(20)
        self.time = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 8))
        self.channel = nn.Sequential(nn.Linear(20, 32), nn.GELU(approximate="tanh"), nn.Linear(32, 20))
        self.head = nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = x[..., ::4].transpose(1, 2)
        x = x + self.time(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + self.channel(self.norm2(x))
        return self.head(x.mean(dim=1))
