"""Networks of growing size: what stands between a private answer and models of millions of weights."""

from __future__ import annotations

from torch import Tensor, nn

COEFFICIENTS, FRAMES, CLASSES = 40, 50, 8
_WIDTH, _HEADS = 768, 12


class Encoder(nn.Module):
    """``depth`` transformer layers, 768 wide with 12 heads, over (n, 50, 40): projected, encoded, averaged over time.

    The shape of wav2vec 2.0 base and of BERT base, 7.1 million weights a layer.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.embed = nn.Linear(COEFFICIENTS, _WIDTH)
        layer = nn.TransformerEncoderLayer(_WIDTH, _HEADS, 4 * _WIDTH, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(_WIDTH, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x)).mean(dim=1))


class WideCnn(nn.Sequential):
    """Three strided convolutions over (n, 40, 188) and a mean over time; about 30 · ``width``² weights."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        for before, after in ((COEFFICIENTS, width), (width, 2 * width), (2 * width, 2 * width)):
            layers += [nn.Conv1d(before, after, 5, stride=2, padding=2), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2 * width, CLASSES))
