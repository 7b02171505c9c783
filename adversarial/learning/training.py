"""Robust discriminative adversarial learning: F and C, against D, on masked or unmasked sound (Luong et al., §2.2).

In each step D learns to find speech in z, while F (and M, where the mask is learnt) learns the event and, through the
gradient reversal layer, to defeat D (equations 2 to 4 and 6).  Every few epochs a D is replaced by one that was trained
afresh (:mod:`sotto.adversarial.learning.renewal`).  Without an adversary the same loop is plain supervised learning,
the baseline.

What comes out is no measure of privacy: that takes attackers who are trained afterwards
(:mod:`sotto.adversarial.attacks`).
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.adversarial.learning.checkpoint import Checkpoint
from sotto.adversarial.learning.discriminator import Discriminator
from sotto.adversarial.learning.gradient_reversal import reverse_gradient
from sotto.adversarial.learning.pool import Pool, make_pool, mixtures, through
from sotto.adversarial.learning.recipe import Recipe
from sotto.adversarial.learning.renewal import renew
from sotto.adversarial.learning.separation_training import SeparationEpoch, pretrain
from sotto.adversarial.sensor.classifier import Classifier
from sotto.adversarial.sensor.sensor import Sensor
from sotto.adversarial.sounds.divided_sounds import Material
from sotto.adversarial.sounds.segments import mix_pairs
from sotto.audio.parallel import bar_of
from sotto.models.architectures import ModelError
from sotto.models.learning.seeding import seeded
from sotto.models.learning.training import follow, set_rate

_LONGEST_GRADIENT = 5.0
_SETTLED = 0.1  # of the learning rate, in the last epochs


class Epoch(msgspec.Struct, frozen=True):
    """One epoch of the training: means over its batches, in training mode.

    ``weight`` is λ; ``speech_loss`` and ``speech_accuracy`` are D's own, which say little about privacy; ``difference``
    is the mean square that speech changes in z, relative to the variance of z (null without pairs); ``renewed`` is the
    loss a fresh D′ reached after this epoch, null where none was trained.
    """

    weight: float
    event_loss: float
    event_accuracy: float
    speech_loss: float
    speech_accuracy: float
    difference: float | None
    renewed: float | None


@dataclass(frozen=True, eq=False)
class Trained:
    """What a training leaves.

    Attributes
    ----------
    sensor, classifier
        for Alice and for Bob, in evaluation mode, on the CPU.
    discriminators
        every D at the end of the training; none without an adversary.
    curve
        of the adversarial training.
    separation
        of the pretraining of M; empty without it.
    """

    sensor: Sensor
    classifier: Classifier
    discriminators: tuple[Discriminator, ...]
    curve: tuple[Epoch, ...]
    separation: tuple[SeparationEpoch, ...]


def train(
    material: Material,
    recipe: Recipe,
    *,
    seed: int,
    checkpoints: Path | None = None,
    device: torch.device | None = None,
) -> Trained:
    """Train a sensor and a classifier on the training part of ``material``.

    Parameters
    ----------
    recipe
        everything else that decides the result.
    seed
        initial weights, mixtures and order.
    checkpoints
        a folder in which every epoch is kept; an interrupted training goes on from there, a finished one
        is read from it, and columns that share a pretrained M train it once.
    device
        by default the GPU where there is one.

    Raises
    ------
    ModelError
        the recipe's rate is not the material's, or the loss stops being a number.
    """
    if recipe.rate != material.rate:
        raise ModelError(
            "wrong-rate", f"the segments have {material.rate} Hz, the recipe {recipe.name} needs {recipe.rate}"
        )
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    what = {"material": material.digest, "seed": seed, "torch": torch.__version__, "device": device.type}
    with seeded(seed):
        sensor = Sensor(**recipe.sensor_arguments).to(device)  # type: ignore[arg-type]
        networks = _Networks(sensor, Classifier(len(material.classes)).to(device), recipe, device)
    separation = _pretrain(sensor, material, recipe, seed, device, what, checkpoints)
    with seeded(seed) as generator:
        named = {**what, "training": "adversarial", "recipe": recipe.to_record()}
        checkpoint = Checkpoint(checkpoints, named, Epoch, generator)
        curve = checkpoint.finished(networks.modules, lambda epochs: len(epochs) >= recipe.epochs)
        if curve is None:
            pool = make_pool(material["train"], sensor, recipe, seed=seed, device=device)
            curve = _trained(networks, pool, recipe, checkpoint, generator)
    return networks.trained(sensor, tuple(curve), separation)


def _trained(
    networks: _Networks,
    pool: Pool,
    recipe: Recipe,
    checkpoint: Checkpoint[Epoch],
    generator: torch.Generator,
) -> list[Epoch]:
    """Train from the last checkpoint on; the curve."""
    optimiser = torch.optim.SGD(networks.parameters(), lr=recipe.step, momentum=recipe.momentum)
    curve = checkpoint.resume(networks.modules, optimiser) or []
    with bar_of(recipe.epochs, recipe.name, "epoch", done=len(curve)) as shown:
        while len(curve) < recipe.epochs:
            curve.append(_epoch(networks, optimiser, pool, recipe, len(curve), generator))
            checkpoint.save(networks.modules, optimiser, curve)
            shown.set_postfix_str(_summary(curve[-1]), refresh=False)
            shown.update()
    return curve


class _Networks:
    """All that learns, and the running average of F and C that a strengthened recipe keeps."""

    def __init__(self, sensor: Sensor, classifier: Classifier, recipe: Recipe, device: torch.device) -> None:
        self.learner: nn.Module = sensor if recipe.learnable else sensor.extractor
        self.learner.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.classifier = classifier
        self.adversarial = recipe.adversarial
        self.discriminators = [Discriminator(sensor.dimensions).to(device) for _ in range(recipe.discriminators)]
        self.average = deepcopy(nn.ModuleList([self.learner, classifier]))
        self.modules: dict[str, nn.Module] = {"learner": self.learner, "classifier": classifier}
        self.modules |= {f"discriminator{k}": d for k, d in enumerate(self.discriminators)}
        self.modules["average"] = self.average

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of everything but the average."""
        return chain(*(m.parameters() for m in (self.learner, self.classifier, *self.discriminators)))

    def follow(self, decay: float) -> None:
        """Move the average towards the weights; at decay 0 it is the weights."""
        follow(self.average, nn.ModuleList([self.learner, self.classifier]), decay)

    def trained(self, sensor: Sensor, curve: tuple[Epoch, ...], separation: tuple[SeparationEpoch, ...]) -> Trained:
        """The averaged weights, put back into the sensor."""
        learner, classifier = self.average
        self.learner.load_state_dict(learner.state_dict())
        self.classifier.load_state_dict(classifier.state_dict())
        final = (sensor, self.classifier, *self.discriminators)
        for module in final:
            module.to(device="cpu", memory_format=torch.contiguous_format).eval()  # type: ignore[call-overload]
        met = tuple(self.discriminators) if self.adversarial else ()
        return Trained(sensor, self.classifier, met, curve, separation)


def _pretrain(
    sensor: Sensor,
    material: Material,
    recipe: Recipe,
    seed: int,
    device: torch.device,
    what: dict[str, object],
    checkpoints: Path | None,
) -> tuple[SeparationEpoch, ...]:
    """Train M, where there is one and it is fixed."""
    if sensor.separation is None or recipe.learnable:
        return ()
    return pretrain(
        sensor.separation,
        sensor.spectrogram,
        mixtures(material["train"], recipe, seed)[0],
        mix_pairs(material["validation"].events, material["validation"].speech, seed=seed),
        recipe.separation,
        seed=seed,
        device=device,
        what={**what, "pairs": recipe.pairs, "copies": recipe.copies},
        checkpoints=checkpoints,
    )


def _epoch(
    networks: _Networks,
    optimiser: torch.optim.Optimizer,
    pool: Pool,
    recipe: Recipe,
    epoch: int,
    generator: torch.Generator,
) -> Epoch:
    set_rate(optimiser, recipe.step * (_SETTLED if epoch >= recipe.epochs - recipe.settle else 1.0))
    weight = recipe.weight(epoch)
    networks.learner.train()
    losses = []
    for chosen in pool.batches(recipe.batch, generator):
        losses.append(_step(networks, optimiser, pool, chosen, recipe, weight, generator))
        networks.follow(min(recipe.average, (1 + epoch) / (10 + epoch)) if recipe.average else 0.0)
    event_loss, right, speech_loss, found, difference = torch.stack(losses).mean(dim=0).tolist()
    if not event_loss < float("inf"):
        raise ModelError(
            "loss-diverged", f"the training loss is {event_loss} in epoch {epoch + 1}; lower the recipe's step"
        )
    renewed = None
    if recipe.adversarial and (epoch + 1) % recipe.renew_every == 0 and epoch + 1 < recipe.epochs:
        z = through(networks.learner, networks.learner, pool.inputs)
        replaced = networks.discriminators[(epoch // recipe.renew_every) % len(networks.discriminators)]
        renewed = renew(replaced, z, pool.has_speech, epochs=recipe.renew_epochs, generator=generator)
        for parameter in replaced.parameters():
            optimiser.state.pop(parameter, None)  # the momentum was the former D's
    return Epoch(weight, event_loss, right, speech_loss, found, None if pool.pairs is None else difference, renewed)


def _step(
    networks: _Networks,
    optimiser: torch.optim.Optimizer,
    pool: Pool,
    chosen: Tensor,
    recipe: Recipe,
    weight: float,
    generator: torch.Generator,
) -> Tensor:
    """One step of SGD; event loss and accuracy, D's loss and accuracy, difference (5,)."""
    event, has_speech = pool.event[chosen], pool.has_speech[chosen]
    z = networks.learner(pool.draw(chosen, recipe.shift, generator))
    logits = networks.classifier(z)
    event_loss = F.cross_entropy(logits, event)
    guesses = torch.stack(
        [d(reverse_gradient(z, weight / len(networks.discriminators))) for d in networks.discriminators]
    )
    speech_loss = F.binary_cross_entropy_with_logits(guesses, has_speech.expand_as(guesses))
    loss = event_loss
    if recipe.adversarial:
        loss = loss + speech_loss * len(guesses)
    difference = _difference(z) if pool.pairs is not None else torch.zeros_like(event_loss)
    if recipe.adversarial and recipe.invariance:
        loss = loss + recipe.invariance * difference
    optimiser.zero_grad()
    loss.backward()
    if recipe.clip:
        nn.utils.clip_grad_norm_(networks.parameters(), _LONGEST_GRADIENT)
    optimiser.step()
    right = (logits.argmax(dim=1) == event).float().mean()
    found = ((guesses > 0) == (has_speech > 0)).float().mean()
    return torch.stack([event_loss, right, speech_loss, found, difference]).detach()


def _difference(z: Tensor) -> Tensor:
    """Mean square of what speech changes in z, relative to the variance of z; pairs as in :meth:`Pool.batches`."""
    without, spoken = z.chunk(2)
    return (without - spoken).square().mean() / z.detach().var(dim=0).mean().clamp_min(1e-6)


def _summary(epoch: Epoch) -> str:
    return f"λ {epoch.weight:.2f}, event loss {epoch.event_loss:.3f}, speech loss {epoch.speech_loss:.3f}"
