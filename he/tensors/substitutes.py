"""What to write in place of a step that ciphertexts cannot take: the nearest thing that they can."""

from __future__ import annotations

_AVERAGE = "average pooling (nn.AvgPool1d, nn.AdaptiveAvgPool1d or a mean)"
_ACTIVATION = "a polynomial activation (models.networks.polynomial: PolynomialReLU, swap_relu)"
_NORM = "batch norm, whose statistics are fixed when training ends"
_LEAVE = "nothing (the largest logit names the class), or inside the network convolutions over time"
_PATCH = "convolutions or linear layers over the steps in time, and a mean over time"
_DROPOUT = "nn.Dropout, or F.dropout with training=self.training, neither of which does anything once trained,"
_WHOLE = "nothing (numbers are not rounded under encryption)"
_SQUARE = "the square, fourth or sixth power of one value, or PolynomialReLU"

#: By how the name of a step begins, in small letters and without underscores.
_SUBSTITUTES: tuple[tuple[tuple[str, ...], str], ...] = (
    (("maxpool", "adaptivemaxpool", "max", "amax", "fractionalmaxpool", "topk", "sort"), _AVERAGE),
    (("softmax", "logsoftmax", "softmin"), _LEAVE),
    (("multiheadattention", "scaleddotproduct", "lstm", "gru", "rnn", "transformer"), _PATCH),
    (("layernorm", "instancenorm", "groupnorm", "rmsnorm", "nativelayernorm", "var", "std", "localresponse"), _NORM),
    (("dropout", "alphadropout", "featuredropout", "featurealphadropout", "bernoulli", "rand"), _DROPOUT),
    (("half", "bfloat16", "round", "floor", "ceil", "trunc", "fakequantize", "quantize"), _WHOLE),
    (("mul", "matmul", "bmm", "einsum", "pow", "div", "truediv", "baddbmm"), _SQUARE),
)


def substitute(step: str) -> str:
    """In a few words, for a step of this name (``MaxPool1d``, ``max_pool1d``, ``softmax``)."""
    name = step.lower().replace("_", "")
    for beginnings, found in _SUBSTITUTES:
        if name.startswith(beginnings):
            return found
    return _ACTIVATION
