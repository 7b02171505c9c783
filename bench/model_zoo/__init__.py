"""Networks of the kinds that people publish for speech and sound, to ask whether they run privately.

Small, drawn from a fixed seed and untrained: what is asked is whether each kind is accepted and computed right, and
what it costs, not how well it classifies.  Each entry names the public source of the idea; no code is taken from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from sotto.bench.model_zoo import attention, convolutional, sequential
from sotto.models.networks.emotion_cnn import Depinto, Frames

_SEED = 5
_MELS = (20, 32)


@dataclass(frozen=True)
class Kind:
    """One kind of network: how to make it, the shape of one example, where the idea was published."""

    make: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    source: str

    def build(self) -> nn.Module:
        """The network in evaluation mode, weights and running statistics drawn from a fixed seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_SEED)
            module = self.make()
            for part in module.modules():
                if isinstance(part, nn.modules.batchnorm._BatchNorm):
                    for tensor, low, high in ((part.running_mean, -0.3, 0.3), (part.running_var, 0.5, 2.0)):
                        if tensor is not None:
                            nn.init.uniform_(tensor, low, high)
                if isinstance(part, nn.PReLU):
                    nn.init.uniform_(part.weight, 0.1, 0.4)
        return module.eval()


KINDS: dict[str, Kind] = {
    "depinto": Kind(Depinto, (40,), "de Pinto et al. 2020, emotions from 40 MFCC means"),
    "frames": Kind(Frames, (40, 188), "strided Conv1d with batch norm over MFCC frames"),
    "leaky-cnn": Kind(convolutional.LeakyCnn, _MELS, "Maas et al. 2013, leaky ReLU in acoustic models"),
    "m5": Kind(convolutional.M5, (1, 1600), "Dai et al. 2017, very deep CNNs for raw waveforms (M5)"),
    "cnn-lstm": Kind(sequential.CnnLstm, _MELS, "Trigeorgis et al. 2016, CNN and LSTM for emotion"),
    "gru": Kind(sequential.Gru, _MELS, "Cho et al. 2014, gated recurrent units"),
    "rnn": Kind(sequential.Elman, _MELS, "Elman 1990, simple recurrent networks"),
    "attention-pooling": Kind(sequential.AttentionPooling, _MELS, "Mirsamadi et al. 2017, local attention for emotion"),
    "x-vector": Kind(sequential.XVector, _MELS, "Snyder et al. 2018, x-vectors"),
    "attentive-statistics": Kind(sequential.AttentiveStatistics, _MELS, "Desplanques et al. 2020, ECAPA-TDNN"),
    "res2net": Kind(sequential.Res2Net, _MELS, "Gao et al. 2021, Res2Net"),
    "squeeze-excite": Kind(convolutional.SqueezeExcite, _MELS, "Hu et al. 2018, squeeze-and-excitation"),
    "resnet-stem": Kind(convolutional.ResidualStem, (40, 64), "He et al. 2016, deep residual learning"),
    "inverted-residual": Kind(convolutional.InvertedResidual, _MELS, "Sandler et al. 2018, MobileNetV2"),
    "hard-swish": Kind(convolutional.HardSwish, _MELS, "Howard et al. 2019, MobileNetV3"),
    "elu": Kind(convolutional.EluCnn, _MELS, "Clevert et al. 2016, exponential linear units"),
    "even-same": Kind(convolutional.EvenSame, _MELS, "kernel 8 with padding='same', common in emotion notebooks"),
    "transformer": Kind(attention.Transformer, _MELS, "Vaswani et al. 2017, attention is all you need"),
    "spectrogram-transformer": Kind(attention.PreNormTransformer, _MELS, "Gong et al. 2021, AST"),
    "causal-attention": Kind(attention.CausalAttention, _MELS, "Touvron et al. 2023, LLaMA's blocks"),
    "padded-attention": Kind(attention.PaddedAttention, _MELS, "multi-head attention under a padding mask"),
    "conformer": Kind(attention.Conformer, _MELS, "Gulati et al. 2020, Conformer"),
    "wav2vec-encoder": Kind(attention.Wav2vecEncoder, (1, 800), "Baevski et al. 2020, wav2vec 2.0"),
    "mixer": Kind(attention.Mixer, _MELS, "Tolstikhin et al. 2021, MLP-Mixer"),
    "tanh-head": Kind(sequential.TanhHead, _MELS, "heads of self-supervised speech models for emotion"),
    "weighted-layers": Kind(sequential.WeightedLayers, (5, 12, 16), "Yang et al. 2021, SUPERB"),
    "instance-norm": Kind(convolutional.InstanceNormCnn, _MELS, "Ulyanov et al. 2016, instance normalisation"),
    "glu": Kind(convolutional.GatedCnn, _MELS, "Dauphin et al. 2017, gated convolutional networks"),
    "max-over-time": Kind(convolutional.MaxOverTime, _MELS, "Kim 2014, convolutions with maximum over time"),
    "prelu-tdnn": Kind(convolutional.PreluTdnn, _MELS, "Peddinti et al. 2015, TDNN; He et al. 2015, PReLU"),
    "panns-head": Kind(convolutional.PannsHead, _MELS, "Kong et al. 2020, PANNs"),
    "silu-layernorm": Kind(convolutional.SiluNorm, _MELS, "Liu et al. 2022, ConvNeXt"),
    "scaled-input": Kind(sequential.ScaledInput, _MELS, "input scaling by buffers"),
    "cropped-input": Kind(sequential.CroppedInput, _MELS, "slicing under a test of shapes"),
    "dictionary": Kind(sequential.Dictionary, _MELS, "outputs in a dictionary, as model hubs return them"),
    "separable": Kind(convolutional.Separable, _MELS, "Kriman et al. 2020, QuartzNet"),
    "u-net": Kind(convolutional.Encoder2Decoder, _MELS, "Ronneberger et al. 2015, U-Net"),
    "volumes": Kind(convolutional.Volumes, (6, 16, 16), "Tran et al. 2015, C3D"),
    "squares": Kind(convolutional.Squares, _MELS, "Gilad-Bachrach et al. 2016, CryptoNets"),
}
