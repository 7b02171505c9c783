"""Seeded training of the networks here, watched on speakers that are not trained on.

A model that was chosen on the voices it was trained on looks better than it is, so training refuses to start when a
training speaker is also a validation speaker. The same seed on the same machine gives the same weights: training runs
on one thread with its own random state and leaves the caller's untouched. (Model training needs no secret randomness;
protocols never draw from these generators.)
"""

import math
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.audio.parallel import bar_of
from sotto.link import BadValue
from sotto.models.architectures import ModelError
from sotto.models.learning.seeding import seeded


@dataclass(frozen=True)
class Schedule:
    """How long and how hard to train: AdamW with warm-up and cosine decay.

    Attributes
    ----------
    epochs
        passes over the training examples at most.
    batch
        examples in one step; all of them where there are fewer.
    rate
        peak learning rate.
    weight_decay
        on weights; not on biases and batch norm.
    smoothing
        label smoothing, the share of the target spread over all classes.
    mixup
        parameter of the Beta distribution that mixes pairs of examples (Zhang et al. 2018); 0 is off.
    average
        decay of the running average of the weights, which is the model that is returned; 0 is off.
    patience
        epochs without improvement on the validation speakers before training stops; the best weights seen
        are returned. None trains all epochs and returns the last.
    """

    epochs: int = 60
    batch: int = 64
    rate: float = 3e-3
    weight_decay: float = 1e-2
    smoothing: float = 0.1
    mixup: float = 0.0
    average: float = 0.995
    patience: int | None = 15

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch < 2 or self.rate <= 0 or self.weight_decay < 0:
            raise BadValue("bad-schedule", "a schedule needs epochs >= 1, batch >= 2, rate > 0 and weight_decay >= 0")
        if not 0 <= self.smoothing < 1 or not 0 <= self.average < 1 or self.mixup < 0:
            raise BadValue("bad-schedule", "a schedule needs smoothing and average in [0, 1) and mixup >= 0")
        if self.patience is not None and self.patience < 1:
            raise BadValue("bad-schedule", "patience is a number of epochs, at least 1, or None for no early stopping")


@runtime_checkable
class Examples(Protocol):
    """Training examples that may look different each time they are drawn."""

    def __len__(self) -> int:
        """How many examples there are."""

    def draw(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """Float32 (len(indices), ...) model input, augmented with the generator's randomness."""

    def plain(self, indices: Tensor) -> Tensor:
        """The same examples without augmentation, as they are at inference."""


class Fixed:
    """Examples without augmentation: the rows of an array (n, ...), already normalised."""

    def __init__(self, features: ArrayLike) -> None:
        self._rows = torch.from_numpy(np.ascontiguousarray(features, dtype=np.float32))

    def __len__(self) -> int:
        return len(self._rows)

    def draw(self, indices: Tensor, generator: torch.Generator) -> Tensor:
        """The rows; the generator is not used."""
        return self._rows[indices]

    def plain(self, indices: Tensor) -> Tensor:
        """The rows."""
        return self._rows[indices]


@dataclass(frozen=True)
class Trained:
    """A trained network in evaluation mode, and how it came about.

    Attributes
    ----------
    module
        the network.
    epochs
        epochs run.
    best
        the epoch whose weights these are.
    losses
        mean training loss of every epoch.
    validation
        accuracy on the validation speakers after every epoch; empty without validation.
    """

    module: nn.Module
    epochs: int
    best: int
    losses: tuple[float, ...]
    validation: tuple[float, ...]


def train(
    build: Callable[[], nn.Module],
    features: ArrayLike | Examples,
    targets: ArrayLike,
    *,
    speakers: Sequence[str],
    training: Sequence[int],
    validation: Sequence[int] = (),
    schedule: Schedule | None = None,
    seed: int = 0,
    label: str = "training",
) -> Trained:
    """Train a freshly built classifier.

    Parameters
    ----------
    build
        makes the network, (n, ...) float32 to (n, classes) logits; called once, under the seed.
    features
        normalised features (n, ...), or :class:`Examples` that augment.
    targets
        int64 (n,) class indices.
    speakers
        who speaks in each example, (n,).
    training
        positions of the examples to train on.
    validation
        positions of those to watch.
    schedule
        see :class:`Schedule`.
    seed
        decides initial weights, order, augmentation and dropout.

    Raises
    ------
    ModelError
        sizes differ, a part is empty or shares a speaker with another, early stopping without
        validation speakers, or the loss stops being a number.
    """
    schedule = schedule or Schedule()
    examples = features if isinstance(features, Examples) else Fixed(features)
    y = torch.from_numpy(np.asarray(targets, np.int64))
    require_disjoint(speakers, training=training, validation=validation)
    if not len(examples) == len(y) == len(speakers):
        raise ModelError(
            "length-mismatch", f"{len(examples)} examples, {len(y)} targets and {len(speakers)} speakers do not match"
        )
    if len(training) < 2:
        raise ModelError("too-few-examples", f"{len(training)} training example(s), at least 2 are needed")
    if schedule.patience is not None and not len(validation):
        raise ModelError(
            "no-validation", "early stopping needs validation speakers; give some, or a schedule with patience=None"
        )
    with seeded(seed) as generator:
        return _run(build(), examples, y, list(training), list(validation), schedule, generator, label)


def require_disjoint(speakers: Sequence[str], **parts: Sequence[int]) -> None:
    """Raise ModelError when two parts share an example or a speaker, or hold a position outside the corpus."""
    taken: dict[str, str] = {}
    for part, positions in parts.items():
        if any(not 0 <= i < len(speakers) for i in positions):
            raise ModelError("bad-index", f"{part} holds positions outside the {len(speakers)} examples")
        for speaker in {speakers[i] for i in positions}:
            if speaker in taken:
                raise ModelError(
                    "shared-speaker", f"speaker {speaker} is in {taken[speaker]} and in {part}; split by speaker"
                )
            taken[speaker] = part


def predict(module: nn.Module, features: ArrayLike, batch: int = 256) -> NDArray[np.float32]:
    """Logits float32 (n, classes) of normalised features (n, ...), in evaluation mode."""
    rows = Fixed(features)
    return _logits(module, rows, torch.arange(len(rows)), batch).numpy()


def _run(
    module: nn.Module,
    examples: Examples,
    y: Tensor,
    training: list[int],
    validation: list[int],
    schedule: Schedule,
    generator: torch.Generator,
    label: str,
) -> Trained:
    classes = int(_logits(module, examples, torch.tensor(training[:2]), 2).shape[1])
    if int(y.min()) < 0 or int(y.max()) >= classes:
        raise ModelError("bad-target", f"targets must be class indices below {classes}, the outputs of the network")
    optimiser = decaying_weights(module.parameters(), schedule.rate, schedule.weight_decay)
    average = deepcopy(module)
    order, watched = torch.tensor(training), torch.tensor(validation, dtype=torch.long)
    per_epoch = max(1, len(training) // schedule.batch)
    losses: list[float] = []
    scores: list[float] = []
    best: tuple[float, int, dict[str, Tensor]] | None = None
    with bar_of(schedule.epochs, label, "epoch") as bar:
        for epoch in range(schedule.epochs):
            total = 0.0
            shuffled = order[torch.randperm(len(order), generator=generator)]
            for k in range(per_epoch):
                step = epoch * per_epoch + k
                set_rate(optimiser, _rate_at(schedule, step, per_epoch * schedule.epochs))
                indices = shuffled[k * schedule.batch : (k + 1) * schedule.batch]
                total += _step(module, optimiser, examples, y, indices, classes, schedule, generator)
                follow(average, module, min(schedule.average, (step + 1) / (step + 10)))
            losses.append(total / per_epoch)
            if not math.isfinite(losses[-1]):
                raise ModelError(
                    "loss-diverged", f"the training loss is {losses[-1]} in epoch {epoch + 1}; lower the learning rate"
                )
            if len(watched):
                scores.append(_accuracy(average, examples, y, watched))
                if schedule.patience is not None and (best is None or scores[-1] > best[0]):
                    best = scores[-1], epoch, deepcopy(average.state_dict())
            watching = f", validation {scores[-1]:.3f}" if scores else ""
            bar.set_postfix_str(f"loss {losses[-1]:.3f}{watching}", refresh=False)
            bar.update()
            if best is not None and schedule.patience is not None and epoch - best[1] >= schedule.patience:
                break
    if best is not None:
        average.load_state_dict(best[2])
    last = best[1] if best is not None else len(losses) - 1
    return Trained(average.eval(), len(losses), last + 1, tuple(losses), tuple(scores))


def _step(
    module: nn.Module,
    optimiser: torch.optim.Optimizer,
    examples: Examples,
    y: Tensor,
    indices: Tensor,
    classes: int,
    schedule: Schedule,
    generator: torch.Generator,
) -> float:
    module.train()
    x = examples.draw(indices, generator)
    target = F.one_hot(y[indices], classes).float() * (1 - schedule.smoothing) + schedule.smoothing / classes
    if schedule.mixup:
        word = int(torch.randint(2**31, (1,), generator=generator))
        share = float(np.random.default_rng(word).beta(schedule.mixup, schedule.mixup))
        partner = torch.randperm(len(x), generator=generator)
        x = share * x + (1 - share) * x[partner]
        target = share * target + (1 - share) * target[partner]
    loss = F.cross_entropy(module(x), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def decaying_weights(parameters: Iterable[Tensor], rate: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW that lets matrices decay, and leaves biases and scales alone."""
    known = list(parameters)
    matrices, vectors = ([p for p in known if (p.ndim > 1) == many] for many in (True, False))
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=rate)


def _rate_at(schedule: Schedule, step: int, steps: int) -> float:
    warm = min(1.0, (step + 1) / max(1, min(100, steps // 10)))
    return schedule.rate * warm * 0.5 * (1 + math.cos(math.pi * step / steps))


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of every group from now on."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@torch.no_grad()
def follow(average: nn.Module, module: nn.Module, decay: float) -> None:
    """Move the averaged weights (and batch-norm statistics) towards the trained ones."""
    for kept, new in zip(average.state_dict().values(), module.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


@torch.no_grad()
def _logits(module: nn.Module, examples: Examples, indices: Tensor, batch: int) -> Tensor:
    module.eval()
    return torch.cat([module(examples.plain(part)) for part in indices.split(batch)])


def _accuracy(module: nn.Module, examples: Examples, y: Tensor, indices: Tensor) -> float:
    return float((_logits(module, examples, indices, 256).argmax(1) == y[indices]).float().mean())
