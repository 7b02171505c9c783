"""A speech task as the keyed experiments see it: a trained network, its test inputs, and what is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sotto.audio import Corpus
from sotto.audio.reading import content_digest


@dataclass(frozen=True, eq=False)
class SpeechTask:
    """A plain network, trained, in evaluation mode, and test inputs in the form that a key encrypts.

    Attributes
    ----------
    name
        "asv", "asr", "asc" or "emotion".
    corpus, split
        what was tested, and who or what was kept apart from training.
    module
        the plain network; its first convolution has kernel = stride = ``block_size``.
    inputs
        float32 (n, samples) for dimension 1, (n, bands, frames) for dimension 2, in whole blocks.
    dimension
        of a block, 1 or 2.
    metric
        "eer", "wer" or "accuracy", each a share between 0 and 1 (a word error rate may be larger).
    figure
        the metric from the outputs of a network for ``inputs``.
    """

    name: str
    corpus: str
    split: str
    module: nn.Module
    inputs: Tensor
    block_size: int
    dimension: int
    metric: str
    figure: Callable[[Tensor], float]
    batch: int = 16

    def outputs(self, module: nn.Module, inputs: Tensor) -> Tensor:
        """What ``module`` makes of ``inputs`` (n, ...), the first axis again n: embeddings or scores."""
        module.eval()
        with torch.inference_mode():
            return torch.cat([module(part) for part in inputs.split(self.batch)])

    def measure(self, module: nn.Module, inputs: Tensor) -> float:
        """The metric of ``module``, plain or encrypted, on ``inputs``, plain or encrypted, recovered or damaged."""
        return self.figure(self.outputs(module, inputs))


def clips_digest(corpus: Corpus, positions: Iterable[int]) -> str:
    """Of what a model was trained on: 32 hexadecimal digits for content and identifiers of these clips, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for position in positions:
        clip = corpus[position]
        digest.update(f"{clip.id}\0{content_digest(clip)}\0{clip.speaker or ''}\n".encode())
    return digest.hexdigest()
