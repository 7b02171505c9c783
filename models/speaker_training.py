"""Training of speaker embeddings on log-mel frames: additive angular margin, random crops, other rooms and microphones.

The network learns to tell its training speakers apart by the angle of their embeddings, with a margin (AAM-softmax:
Deng et al., "ArcFace", CVPR 2019); the speakers it is tested on are others.  A voice played faster or slower counts as
another speaker, which multiplies the few there are.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from models.augmentation import mask
from models.speaker_embedding import FLOOR


@dataclass(frozen=True)
class SpeakerSchedule:
    """How embeddings are trained: AdamW with warm-up and cosine decay.

    Attributes:
        steps, batch: batches, and crops in each, no two of one speaker.
        frames: length of a crop, 10 ms each.
        rate, weight_decay: of the optimiser.
        margin, scale: of AAM-softmax; the margin grows over the first third of the steps.
        colour: standard deviations of a random frequency response, one for each of its cosines.
        noise: share of the crops with noise, stationary or of other speakers; at ``ratios`` (decibels, least and most).
    """

    steps: int = 1500
    batch: int = 32
    frames: int = 180
    rate: float = 2e-3
    weight_decay: float = 0.05
    margin: float = 0.2
    scale: float = 30.0
    colour: tuple[float, ...] = (0.6, 0.5, 0.4, 0.3)
    noise: float = 0.6
    ratios: tuple[float, float] = (5.0, 25.0)


def train_embeddings(
    trunk: nn.Module, voices: Sequence[Sequence[Tensor]], schedule: SpeakerSchedule, *, seed: int, label: str
) -> None:
    """Train ``trunk``, (n, bands, frames) to (n, size), in place.

    Args:
        voices: for every training speaker the log-mel frames (bands, frames) of one recording or several.
        seed: of crops, augmentation and initial class directions; call under :func:`models.seeding.seeded`.
        label: for the progress bar.

    Raises:
        ValueError: fewer speakers than a batch needs, or a loss that is no number.
    """
    if len(voices) < schedule.batch:
        raise ValueError(f"{len(voices)} voices are fewer than the {schedule.batch} of a batch")
    generator = torch.Generator().manual_seed(seed)
    size = trunk(_crops(voices, [0, 1], schedule.frames, generator)).shape[1]
    directions = nn.Parameter(0.1 * torch.randn(len(voices), size, generator=generator))
    optimiser = _optimiser(trunk, directions, schedule)
    trunk.train()
    for step in tqdm(range(schedule.steps), desc=label, file=sys.stderr, delay=2.0, mininterval=5.0, leave=False):
        share = min(1.0, (step + 1) / 200) * 0.5 * (1 + math.cos(math.pi * step / schedule.steps))
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate * share
        who = torch.randperm(len(voices), generator=generator)[: schedule.batch]
        crops = _varied(_crops(voices, who.tolist(), schedule.frames, generator), schedule, generator)
        margin = schedule.margin * min(1.0, step / (0.3 * schedule.steps))
        loss = _angular_loss(trunk(crops), directions, who, margin, schedule.scale)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(trunk.parameters(), 5.0)
        optimiser.step()
        if step % 100 == 0 and not math.isfinite(float(loss.detach())):
            raise ValueError("the training loss is not a number: lower the learning rate")
    trunk.eval()


def _optimiser(trunk: nn.Module, directions: Tensor, schedule: SpeakerSchedule) -> torch.optim.Optimizer:
    matrices = [directions, *(p for p in trunk.parameters() if p.ndim > 1)]
    vectors = [p for p in trunk.parameters() if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": schedule.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=schedule.rate)


def _angular_loss(embeddings: Tensor, directions: Tensor, who: Tensor, margin: float, scale: float) -> Tensor:
    """Cross entropy of scaled cosines, the true speaker's angle made larger by ``margin``."""
    cosines = F.normalize(embeddings, dim=1) @ F.normalize(directions, dim=1).T
    true = who[:, None]
    angle = torch.acos(cosines.gather(1, true).clamp(-1 + 1e-6, 1 - 1e-6))
    harder = torch.cos((angle + margin).clamp(max=math.pi))
    return F.cross_entropy(scale * cosines.scatter(1, true, harder), who)


def _crops(voices: Sequence[Sequence[Tensor]], who: Sequence[int], length: int, generator: torch.Generator) -> Tensor:
    """One stretch of each of these speakers, (len(who), bands, length); short recordings are repeated."""
    rows = []
    for index in who:
        recordings = voices[index]
        frames = recordings[_below(len(recordings), generator)]
        if frames.shape[1] <= length:
            frames = frames.repeat(1, length // frames.shape[1] + 1)
        start = _below(frames.shape[1] - length + 1, generator)
        rows.append(frames[:, start : start + length].float())
    return torch.stack(rows)


def _varied(x: Tensor, schedule: SpeakerSchedule, generator: torch.Generator) -> Tensor:
    """Another microphone, noise (powers add, so before the logarithm), and masked bands and moments."""
    n, bands, _ = x.shape
    place = torch.linspace(0, math.pi, bands)
    shapes = torch.stack([torch.cos((k + 1) * place) for k in range(len(schedule.colour))])
    amounts = torch.randn(n, len(schedule.colour), generator=generator) * torch.tensor(schedule.colour)
    power = (x + (amounts @ shapes)[:, :, None]).exp()
    tilt = (torch.rand(n, 1, generator=generator) * 3.5 - 2.5) * torch.linspace(0, 2, bands)
    steady = tilt.exp()[:, :, None] * -torch.log(torch.rand(power.shape, generator=generator).clamp(min=1e-3))
    others = power[torch.randperm(n, generator=generator)] + power[torch.randperm(n, generator=generator)]
    kind = torch.rand(n, 1, 1, generator=generator)
    noise = torch.where(kind < schedule.noise * 2 / 3, _even(steady), _even(others))
    least, most = schedule.ratios
    ratio = 10 ** (-(least + (most - least) * torch.rand(n, 1, 1, generator=generator)) / 10)
    noise = noise * ratio * power.mean((1, 2), keepdim=True) * (kind < schedule.noise)
    x = torch.log(power + noise + FLOOR)
    average = x.mean((1, 2), keepdim=True)
    return mask(mask(x, 1, 1, 10.0, average, generator), 2, 1, 20.0, average, generator)


def _even(power: Tensor) -> Tensor:
    return power / power.mean((1, 2), keepdim=True)


def _below(count: int, generator: torch.Generator) -> int:
    return int(torch.randint(count, (1,), generator=generator))
