"""Encrypting models shaped like those people have, with random weights: what is found, what is refused, and why."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sotto.keyed import KEY_TYPES, NotEligibleError, encrypt, encrypt_model, generate_key
from tests.error_codes import raises_code

WAVE = torch.sin(torch.arange(2 * 4003, dtype=torch.float32).square() * 1e-4).reshape(2, 4003)
PLANE = torch.sin(torch.arange(2 * 65 * 51, dtype=torch.float32).square() * 1e-4).reshape(2, 1, 65, 51)


class ConvLayer(nn.Module):
    """A layer of a wav2vec front end, with the norm registered before the convolution that runs before it."""

    def __init__(self, inputs, outputs, kernel, stride, norm):
        super().__init__()
        self.norm = nn.GroupNorm(outputs, outputs) if norm else None
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, bias=False)

    def forward(self, x, length):
        x = self.conv(x)
        x = F.gelu(x if self.norm is None else self.norm(x))
        if length is not None:
            length = torch.div(length - self.conv.kernel_size[0], self.conv.stride[0], rounding_mode="floor") + 1
        return x, length


class WavFrontEnd(nn.Module):
    """The convolutions of HuBERT Base; it looks at its input's axes, so torch.fx cannot trace it."""

    def __init__(self, first_stride, channels=512):
        super().__init__()
        shapes = [(10, first_stride), *[(3, 2)] * 4, *[(2, 2)] * 2]
        self.conv_layers = nn.ModuleList(
            ConvLayer(channels if i else 1, channels, kernel, stride, norm=not i)
            for i, (kernel, stride) in enumerate(shapes)
        )

    def forward(self, x, length=None):
        if x.ndim != 2:
            raise ValueError("expected (batch, samples)")
        x = x.unsqueeze(1)
        for layer in self.conv_layers:
            x, length = layer(x, length)
        return x.transpose(1, 2), length


class Wav2Vec(nn.Module):
    """Front end, projection and a transformer, nested as in a full model."""

    def __init__(self, first_stride, channels=16):
        super().__init__()
        self.mask = nn.Parameter(torch.zeros(24))
        self.backbone = nn.ModuleDict({"front": nn.ModuleDict({"end": WavFrontEnd(first_stride, channels)})})
        self.projection = nn.Sequential(nn.LayerNorm(channels), nn.Linear(channels, 24))
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(24, 2, 32, batch_first=True), 1)

    def forward(self, waveforms, lengths=None):
        features, _ = self.backbone["front"]["end"](waveforms, lengths)
        return {"hidden": self.encoder(self.projection(features))}


class Residual(nn.Module):
    def __init__(self, inside):
        super().__init__()
        self.inside = inside

    def forward(self, x):
        return x + self.inside(x)


def conv_mixer(size=8, width=12, depth=2, channels=1):
    """ConvMixer with patches of ``size``, as in the scene classifier."""
    block = [
        layer
        for _ in range(depth)
        for layer in (
            Residual(
                nn.Sequential(nn.Conv2d(width, width, 5, groups=width, padding=2), nn.GELU(), nn.BatchNorm2d(width))
            ),
            nn.Conv2d(width, width, 1),
            nn.GELU(),
        )
    ]
    stem = nn.Conv2d(channels, width, size, size)
    return nn.Sequential(stem, nn.GELU(), nn.BatchNorm2d(width), *block, nn.AdaptiveAvgPool2d(1), nn.Flatten())


class ResNet(nn.Module):
    """A stem and one residual block that is used three times over."""

    def __init__(self, stem):
        super().__init__()
        self.stem = stem
        width = stem.out_channels
        self.block = Residual(nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()))
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        x = self.stem(x)
        for _ in range(3):
            x = self.block(x)
        return self.head(x.mean((2, 3)))


def outputs(model, x):
    with torch.no_grad():
        given = model(x)
    return given["hidden"] if isinstance(given, dict) else given[0] if isinstance(given, tuple) else given


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize(
    ("model", "x", "key"),
    [
        (WavFrontEnd(10, 32), WAVE, (10, 1)),
        (Wav2Vec(10), WAVE, (10, 1)),
        (conv_mixer(), PLANE, (8, 2)),
        (ResNet(nn.Conv2d(1, 6, 4, 4)), PLANE, (4, 2)),
        (nn.Sequential(nn.Sequential(nn.Dropout(), nn.Sequential(conv_mixer(3)))), PLANE, (3, 2)),
        (nn.Sequential(nn.Conv1d(6, 9, 5, 5, groups=3, bias=False)), WAVE[:, :3900].reshape(2, 6, -1), (5, 1)),
        (conv_mixer(4, channels=3), PLANE.expand(2, 3, 65, 51), (4, 2)),
    ],
    ids=["front end", "wav2vec", "ConvMixer", "ResNet", "nested", "groups", "channels"],
)
def test_models_whose_first_convolution_reads_blocks(kind, model, x, key):
    model.eval()
    key = generate_key(kind, *key)
    encrypted = encrypt_model(model, key, example=x)
    private, plain = outputs(encrypted, encrypt(x, key)), outputs(model, x)
    if kind == "flipping":
        assert torch.equal(private, plain)
    torch.testing.assert_close(private, plain, rtol=0, atol=1e-4 * max(1.0, float(plain.abs().max())))


def test_the_published_hubert_is_refused_with_the_way_out():
    """10 samples every 5: blocks overlap, so no key cancels; a first stride of 10 is what the paper trains."""
    with raises_code(
        NotEligibleError, "wrong-geometry", match=r"kernel \(10,\), stride \(5,\).*kernel = stride = 10"
    ) as caught:
        encrypt_model(WavFrontEnd(5), generate_key("rom", 10), example=WAVE)
    assert "conv_layers.0.conv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_classic_resnet_is_refused_with_the_way_out():
    with raises_code(
        NotEligibleError, "wrong-geometry", match=r"'stem' has kernel \(7, 7\), stride \(2, 2\).*kernel = stride = 4"
    ):
        encrypt_model(ResNet(nn.Conv2d(1, 6, 7, 2, padding=3)), generate_key("rom", 4, 2), example=PLANE)


class TwoNames(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 4, 10, 10)
        self.layers = nn.ModuleList([self.first])

    def forward(self, x):
        return self.layers[0](x)


def test_a_convolution_with_two_names_and_one_use():
    """One layer that is registered twice shares its weight with nobody."""
    model, key = TwoNames(), generate_key("flipping", 10)
    for name in (None, "first", "layers.0"):
        encrypted = encrypt_model(model, key, example=WAVE[:, None], layer=name)
        assert torch.equal(outputs(encrypted, encrypt(WAVE[:, None], key)), outputs(model, WAVE[:, None]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KEY_TYPES)
def test_every_dtype_with_bias(kind, dtype):
    model, key, x = nn.Conv1d(1, 4, 10, 10).to(dtype), generate_key(kind, 10, seed=1), WAVE[:, None].to(dtype)
    encrypted = encrypt_model(model, key, example=x)
    assert encrypted.weight.dtype == dtype
    assert torch.equal(encrypted.bias, model.bias)
    private, plain = outputs(encrypted, encrypt(x, key)), outputs(model, x)
    if kind == "flipping":
        assert torch.equal(private, plain)
    assert (private - plain).abs().max() < 100 * torch.finfo(dtype).eps


def test_speech_models_of_transformers():
    """Runs where the library is installed; its models are the reason that no order of layers is relied upon."""
    transformers = pytest.importorskip("transformers")
    for name in ("Hubert", "Wav2Vec2", "WavLM"):
        config = getattr(transformers, f"{name}Config")(
            hidden_size=24, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(16,) * 7,
            conv_stride=(10, 2, 2, 2, 2, 2, 2), num_conv_pos_embedding_groups=2, num_conv_pos_embeddings=16,
        )  # fmt: skip
        model, key = getattr(transformers, f"{name}Model")(config).eval(), generate_key("shuffling", 10)
        encrypted = encrypt_model(model, key, example=WAVE)
        with torch.no_grad():
            private, plain = encrypted(encrypt(WAVE, key)), model(WAVE)
        torch.testing.assert_close(private.last_hidden_state, plain.last_hidden_state, rtol=0, atol=1e-4)
        config.conv_stride = (5, 2, 2, 2, 2, 2, 2)
        with pytest.raises(NotEligibleError, match=r"stride \(5,\)"):
            encrypt_model(getattr(transformers, f"{name}Model")(config), key, example=WAVE)


def test_speech_models_of_torchaudio():
    """Runs where the library is installed."""
    models = pytest.importorskip("torchaudio").models
    shapes = {5: [(16, 10, 5), *[(16, 3, 2)] * 4, *[(16, 2, 2)] * 2]}
    shapes[10] = [(16, 10, 10), *shapes[5][1:]]
    key = generate_key("rom", 10)
    for stride, layers in shapes.items():
        model = models.wav2vec2_model(
            "group_norm", layers, False, 24, 0.0, 16, 2, 1, 2, 0.0, 32, 0.0, 0.0, False, 0.0, None
        )
        model.eval()
        if stride == 5:
            with pytest.raises(NotEligibleError, match=r"stride \(5,\)"):
                encrypt_model(model, key, example=WAVE)
            continue
        private, plain = outputs(encrypt_model(model, key, example=WAVE), encrypt(WAVE, key)), outputs(model, WAVE)
        torch.testing.assert_close(private, plain, rtol=0, atol=1e-4)
