"""Convolutional networks of the kinds that people publish for speech and sound, each written anew and small."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LeakyCnn(nn.Module):
    """Two-dimensional CNN with leaky ReLU and global averages."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.LeakyReLU(0.1), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.LeakyReLU(0.1), nn.AdaptiveAvgPool2d(1),
        )  # fmt: skip
        self.head = nn.Linear(16, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.unsqueeze(1)).flatten(1))


class M5(nn.Module):
    """Raw waveform, wide first kernel, log-softmax at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(1, 16, 80, stride=16), nn.BatchNorm1d(16)
        self.conv2, self.bn2 = nn.Conv1d(16, 16, 3), nn.BatchNorm1d(16)
        self.conv3, self.bn3 = nn.Conv1d(16, 32, 3), nn.BatchNorm1d(32)
        self.pool, self.fc = nn.MaxPool1d(4), nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.bn1(self.conv1(x))))
        x = self.pool(F.relu(self.bn2(self.conv2(x))))
        x = F.relu(self.bn3(self.conv3(x)))
        x = F.avg_pool1d(x, x.shape[-1]).permute(0, 2, 1)
        return F.log_softmax(self.fc(x), dim=2).squeeze(1)


class SqueezeExcite(nn.Module):
    """Residual block whose channels are weighted by what a bottleneck sees of their means."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, stride=2, padding=1)
        self.conv, self.norm = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.squeeze, self.excite = nn.Linear(8, 4), nn.Linear(4, 8)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x.unsqueeze(1)))
        y = self.norm(self.conv(x))
        weight = torch.sigmoid(self.excite(F.relu(self.squeeze(y.mean(dim=(2, 3))))))
        x = F.relu(x + y * weight[:, :, None, None])
        return self.head(x.mean(dim=(2, 3)))


class ResidualStem(nn.Module):
    """ResNet's stem with padded max pooling, and one residual block with a strided shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 7, stride=2, padding=3, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        )  # fmt: skip
        self.one, self.bn1 = nn.Conv2d(8, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16)
        self.two, self.bn2 = nn.Conv2d(16, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.shortcut = nn.Sequential(nn.Conv2d(8, 16, 1, stride=2, bias=False), nn.BatchNorm2d(16))
        self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.unsqueeze(1))
        y = self.bn2(self.two(self.relu(self.bn1(self.one(x)))))
        y += self.shortcut(x)
        return self.head(F.adaptive_avg_pool2d(self.relu(y), 1).flatten(1))


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, depthwise, narrow, with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU6())
        self.block = nn.Sequential(
            nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU6(), nn.Conv2d(24, 24, 3, padding=1, groups=24),
            nn.BatchNorm2d(24), nn.ReLU6(), nn.Conv2d(24, 8, 1), nn.BatchNorm2d(8),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.unsqueeze(1))
        x = x + self.block(x)
        return self.head(x.mean([2, 3]))


class HardSwish(nn.Module):
    """MobileNetV3's pieces: hard swish, and squeeze-and-excitation with a hard sigmoid."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.Hardswish())
        self.depth = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Hardsigmoid()
        )
        self.head = nn.Sequential(nn.Linear(8, 12), nn.Hardswish(), nn.Linear(12, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x[:, None])
        y = self.depth(x)
        return self.head((y * self.gate(y)).mean((2, 3)))


class EluCnn(nn.Module):
    """ELU and average pooling that leaves its padding out."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(20, 16, 5, padding=2), nn.ELU(), nn.AvgPool1d(3, 2, padding=1, count_include_pad=False),
            nn.Conv1d(16, 16, 3), nn.SELU(), nn.AvgPool1d(4, ceil_mode=True), nn.CELU(),
        )  # fmt: skip
        self.head = nn.Linear(16 * 4, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


class EvenSame(nn.Module):
    """Kernel 8 with padding='same', one more zero behind than before."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(20, 16, 8, padding="same"), nn.Conv1d(16, 16, 8, padding="same")
        self.head = nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool1d(F.relu(self.first(x)), 4)
        return self.head(F.relu(self.second(x)).mean(-1))


class PreluTdnn(nn.Module):
    """Dilated time-delay layers with learnt slopes."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            [nn.Conv1d(20, 16, 5), nn.Conv1d(16, 16, 3, dilation=2), nn.Conv1d(16, 16, 3, dilation=3)]
        )
        self.slopes = nn.ModuleList([nn.PReLU(16), nn.PReLU(), nn.PReLU(16)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(16) for _ in range(3)])
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        for layer, slope, norm in zip(self.layers, self.slopes, self.norms, strict=True):
            x = norm(slope(layer(x)))
        return self.head(x.mean(2))


class PannsHead(nn.Module):
    """PANNs: batch norm over mel bands, mean over frequency, maximum and mean over time added, sigmoid per tag."""

    def __init__(self) -> None:
        super().__init__()
        self.bn0 = nn.BatchNorm2d(20)
        self.conv1, self.bn1 = nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16)
        self.fc1, self.tags = nn.Linear(16, 16), nn.Linear(16, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).unsqueeze(1)  # (n, 1, time, mel)
        x = self.bn0(x.transpose(1, 3)).transpose(1, 3)
        x = F.avg_pool2d(F.relu_(self.bn1(self.conv1(x))), (2, 2))
        x = F.relu_(self.bn2(self.conv2(x)))
        x = torch.mean(x, dim=3)
        (largest, _) = torch.max(x, dim=2)
        x = largest + torch.mean(x, dim=2)
        x = F.dropout(F.relu_(self.fc1(x)), 0.5, training=self.training)
        return torch.sigmoid(self.tags(x))


class InstanceNormCnn(nn.Module):
    """Instance norm in place of batch norm, as voice conversion has it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(20, 16, 5, padding=2), nn.InstanceNorm1d(16, affine=True), nn.ReLU(),
            nn.Conv1d(16, 16, 3, padding=1), nn.InstanceNorm1d(16), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).amax(dim=-1))


class GatedCnn(nn.Module):
    """Gated linear units over time."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(20, 32, 5, padding=2), nn.Conv1d(16, 32, 5, padding=2)
        self.head = nn.Linear(16, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = F.glu(self.first(x), dim=1)
        return self.head((x + F.glu(self.second(x), dim=1)).mean(dim=2))


class MaxOverTime(nn.Module):
    """Convolutions of several widths, each reduced to its maximum over time."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv1d(20, 8, width) for width in (2, 3, 5)])
        self.head = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        found = [torch.relu(conv(x)).max(dim=2).values for conv in self.convs]
        return self.head(torch.cat(found, dim=1))


class Separable(nn.Module):
    """Time-channel separable convolutions with residual sums (QuartzNet, MatchboxNet)."""

    def __init__(self) -> None:
        super().__init__()
        self.deep = nn.Conv1d(20, 20, 11, padding=5, groups=20, bias=False)
        self.wide, self.norm = nn.Conv1d(20, 24, 1, bias=False), nn.BatchNorm1d(24)
        self.shortcut = nn.Sequential(nn.Conv1d(20, 24, 1, bias=False), nn.BatchNorm1d(24))
        self.head = nn.Conv1d(24, 6, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.wide(self.deep(x))) + self.shortcut(x))
        return self.head(x).mean(dim=-1)


class Encoder2Decoder(nn.Module):
    """A small U-Net: strided down, transposed up, skip by concatenation, repetition, then a class."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv1d(20, 16, 4, stride=2, padding=1)
        self.up = nn.ConvTranspose1d(16, 20, 4, stride=2, padding=1)
        self.coarse = nn.Upsample(scale_factor=2, mode="nearest")
        self.join, self.head = nn.Conv1d(56, 12, 3, padding=1, padding_mode="reflect"), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        low = F.leaky_relu(self.down(x), 0.2)
        x = torch.cat([x, self.up(low), self.coarse(low)], dim=1)
        return self.head(torch.relu(self.join(x)).mean(-1))


class Volumes(nn.Module):
    """Convolution over three axes: a few channels of spectrogram patches over time."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv3d(1, 6, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(6)
        self.pool, self.head = nn.AvgPool3d(2), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(F.relu(self.norm(self.conv(x.unsqueeze(1)))))
        return self.head(x.mean(dim=(2, 3, 4)))


class Squares(nn.Module):
    """CryptoNets' polynomial activation: squares."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.fc, self.head = nn.Conv1d(20, 8, 5, stride=2), nn.Linear(8 * 14, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).pow(2)
        return self.head(torch.square(self.fc(torch.flatten(x, 1))))


class SiluNorm(nn.Module):
    """SiLU and layer norm over channels, as ConvNeXt-like encoders have them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv1d(20, 24, 5, padding=2), nn.LayerNorm(24)
        self.up, self.down = nn.Linear(24, 48), nn.Linear(48, 24)
        self.head = nn.Linear(24, 6)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).transpose(1, 2)
        x = x + self.down(F.silu(self.up(self.norm(x))))
        return self.head(x.mean(dim=1))
