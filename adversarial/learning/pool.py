"""The training examples of a run: mixed once, and taken through what is fixed of the sensor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from sotto.adversarial.learning.recipe import Recipe
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sounds.divided_sounds import Part
from sotto.adversarial.sounds.segments import Segments, join, mix, mix_pairs

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Pool:
    """Inputs of what is trained (log-mel bands, or waveforms where the mask is learnt), with labels.

    Attributes
    ----------
    inputs
        (m, …, time) float32.
    event
        (m,) int64.
    has_speech
        (m,) float32, 0 or 1.
    pairs
        (events, 1 + copies) positions: an event without speech, then with the speech of each copy; or None.
    """

    inputs: Tensor
    event: Tensor
    has_speech: Tensor
    pairs: Tensor | None

    def __len__(self) -> int:
        return len(self.inputs)

    def batches(self, size: int, generator: torch.Generator) -> list[Tensor]:
        """Positions of one epoch in random order.  With pairs, the second half of a batch is the first with speech."""
        if self.pairs is None:
            order = torch.randperm(len(self), generator=generator)
            return [part for part in order.split(size) if len(part) > 1]
        events, columns = self.pairs.shape
        order = torch.randperm(events, generator=generator)
        copy = torch.randint(1, columns, (events,), generator=generator)
        without, spoken = self.pairs[order, 0], self.pairs[order, copy]
        return [torch.cat(part) for part in zip(without.split(size // 2), spoken.split(size // 2), strict=True)]

    def draw(self, chosen: Tensor, shift: bool, generator: torch.Generator) -> Tensor:
        """The inputs at these positions; with ``shift`` each turned in time by a random amount, pairs alike."""
        inputs = self.inputs[chosen]
        if not shift:
            return inputs
        time = inputs.shape[-1]
        rows = len(chosen) if self.pairs is None else len(chosen) // 2
        start = torch.randint(time, (rows,), generator=generator).repeat(len(chosen) // rows)
        places = (torch.arange(time) + start.unsqueeze(1)) % time
        index = places.view(len(chosen), *(1,) * (inputs.ndim - 2), time).expand(inputs.shape)
        return inputs.gather(-1, index.to(inputs.device))


def make_pool(part: Part, sensor: Sensor, recipe: Recipe, *, seed: int, device: torch.device) -> Pool:
    """Mix the events and speech of ``part`` as the recipe says, and run what is fixed of the sensor on ``device``."""
    segments, pairs = mixtures(part, recipe, seed)
    waveforms = torch.from_numpy(segments.waveforms).to(device)
    return Pool(
        waveforms if recipe.learnable else through(sensor.bands, sensor, waveforms),
        torch.from_numpy(segments.event).to(device),
        torch.from_numpy(segments.has_speech.astype(np.float32)).to(device),
        pairs,
    )


def mixtures(part: Part, recipe: Recipe, seed: int) -> tuple[Segments, Tensor | None]:
    """The segments of a pool and its ``pairs``."""
    if not recipe.pairs:
        return mix(part.events, part.speech, seed=seed), None
    events = len(part.events)
    drawn = [mix_pairs(part.events, part.speech, seed=1000 * seed + copy) for copy in range(recipe.copies)]
    spoken = [segments[events:] for segments in drawn]
    pairs = torch.arange(events).unsqueeze(1) + events * torch.arange(1 + recipe.copies)
    return join([drawn[0][:events], *spoken]), pairs


@torch.no_grad()
def through(function: Callable[[Tensor], Tensor], module: nn.Module, inputs: Tensor) -> Tensor:
    """``function`` on ``inputs`` (n, …) in batches, with ``module`` in evaluation mode."""
    module.eval()
    return torch.cat([function(part) for part in inputs.split(_BATCH)])
