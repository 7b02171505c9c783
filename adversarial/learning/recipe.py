"""Everything that decides a training: the six columns of Table 2, at two sizes, as published or strengthened.

As published (Luong et al., §3; Gharib et al., arXiv:2305.00011): SGD of rate 0.01 and momentum 0.9, batches of 32,
λ = 0 for the first epochs and then raised, a fresh discriminator every P epochs.  A strengthened recipe adds what the
published one does not have: every event with and without speech in the same batch, new speech for it in every epoch,
several discriminators, and a penalty on what speech changes in z.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from sotto.adversarial.sensor.sensor import PUBLISHED_FLOOR, Mask
from sotto.models.architectures import Argument

Preset = Literal["quick", "full"]
Column = Literal[
    "supervised", "rdal", "masked-continuous", "masked-binary", "rdal-m-fixed-mask", "rdal-m-learnable-mask"
]
COLUMNS: tuple[Column, ...] = get_args(Column)


@dataclass(frozen=True)
class Separation:
    """How M is pretrained: Adam on the mean absolute error of the magnitudes, until validation stops improving.

    Attributes
    ----------
    filters
        of each block of M.
    epochs
        at most.
    patience
        epochs without improvement before training stops.
    rate, batch
        of Adam.
    """

    filters: tuple[int, ...] = (16, 32, 64, 128, 256, 512)
    epochs: int = 500
    patience: int = 20
    rate: float = 1e-3
    batch: int = 32


@dataclass(frozen=True)
class Recipe:
    """One column of Table 2.

    Attributes
    ----------
    column
        its name in :data:`COLUMNS`.
    strengthened
        whether it adds to what was published; the attributes below say what.
    rate
        samples per second.
    mask
        what M does before the log-mel bands, see :class:`sotto.adversarial.Sensor`.
    learnable
        whether M is trained with F (then without pretraining), or fixed.
    adversarial
        whether F is trained against D.
    extractor
        filters of each block of F.
    floor
        of the log-mel bands.
    epochs, batch, step, momentum
        of SGD.
    strength
        the largest λ.
    quiet
        epochs with λ = 0, during which D learns.
    ramp
        epochs in which λ then rises to ``strength``.
    renew_every
        the paper's P.
    renew_epochs
        passes over all z in which a fresh D′ is trained.
    discriminators
        how many D there are.
    pairs
        every event with and without speech in each batch, instead of speech in half of the events.
    copies
        mixtures made of every event; each epoch uses one of them.
    invariance
        weight of the squared distance between z with and without speech, relative to the variance of z.
    shift
        whether segments are turned in time, each time they are drawn.
    average
        decay of the running average of the weights, which is what is returned; 0 is off.
    settle
        last epochs, at a tenth of the rate.
    clip
        whether long gradients are cut.
    separation
        how M is pretrained.
    """

    column: Column
    strengthened: bool = False
    rate: int = 44_100
    mask: Mask = "none"
    learnable: bool = False
    adversarial: bool = False
    extractor: tuple[int, ...] = (64, 128, 256, 512)
    floor: float = PUBLISHED_FLOOR
    epochs: int = 350
    batch: int = 32
    step: float = 1e-2
    momentum: float = 0.9
    strength: float = 1.0
    quiet: int = 30
    ramp: int = 100
    renew_every: int = 50
    renew_epochs: int = 50
    discriminators: int = 1
    pairs: bool = False
    copies: int = 1
    invariance: float = 0.0
    shift: bool = False
    average: float = 0.0
    settle: int = 0
    clip: bool = False
    separation: Separation = Separation()

    @property
    def name(self) -> str:
        """For progress, tables and messages."""
        return f"{self.column}+" if self.strengthened else self.column

    @property
    def sensor_arguments(self) -> dict[str, Argument]:
        """Keyword arguments of :class:`sotto.adversarial.Sensor`."""
        return {
            "rate": self.rate,
            "mask": self.mask,
            "separation": self.separation.filters,
            "extractor": self.extractor,
            "floor": self.floor,
        }

    def weight(self, epoch: int) -> float:
        """λ in this epoch (from 0)."""
        if not self.adversarial or epoch < self.quiet:
            return 0.0
        return self.strength * min(1.0, (epoch - self.quiet + 1) / max(1, self.ramp))

    def to_record(self) -> dict[str, Any]:
        """Plain data from which nothing that decides the result is missing."""
        return asdict(self)


_KINDS: dict[Column, dict[str, Any]] = {
    "supervised": {},
    "rdal": {"adversarial": True},
    "masked-continuous": {"mask": "continuous"},
    "masked-binary": {"mask": "binary"},
    "rdal-m-fixed-mask": {"mask": "continuous", "adversarial": True},
    "rdal-m-learnable-mask": {"mask": "continuous", "adversarial": True, "learnable": True},
}

_QUICK: dict[str, Any] = {
    "rate": 16_000,
    "extractor": (8, 16, 32, 64),
    "epochs": 36,
    "quiet": 5,
    "ramp": 10,
    "renew_every": 5,
    "renew_epochs": 10,
    "separation": Separation(filters=(4, 8, 16, 32, 64, 128), epochs=14, patience=6),
}
# Every epoch with a mask that is learnt costs several of the others.
_QUICK_LEARNABLE: dict[str, Any] = {"epochs": 14, "quiet": 3, "ramp": 4, "renew_every": 3}

_STRENGTHENED: dict[str, Any] = {"strengthened": True, "pairs": True, "copies": 3, "average": 0.99, "clip": True}
_STRENGTHENED_MASK: dict[str, Any] = {"floor": 10.0}
_STRENGTHENED_ADVERSARY: dict[str, Any] = {"discriminators": 2}
# Without a mask speech changes too much: the penalty then keeps F from learning the event at all.
_STRENGTHENED_BOTH: dict[str, Any] = {"invariance": 3.0}


def recipe(column: Column, preset: Preset, *, strengthened: bool) -> Recipe:
    """The recipe of a column: ``full`` is as published, ``quick`` has fewer filters, epochs and samples per second.

    What a strengthened recipe adds to data and optimiser it adds to every column; what it adds to mask and adversary,
    to those columns that have one.
    """
    chosen = {**_KINDS[column], **(_QUICK if preset == "quick" else {})}
    if preset == "quick" and chosen.get("learnable"):
        chosen |= _QUICK_LEARNABLE
    if strengthened:
        chosen |= _STRENGTHENED
        chosen |= _STRENGTHENED_MASK if "mask" in chosen else {}
        chosen |= _STRENGTHENED_ADVERSARY if "adversarial" in chosen else {}
        chosen |= _STRENGTHENED_BOTH if {"mask", "adversarial"} <= chosen.keys() else {}
        chosen["settle"] = chosen.get("epochs", Recipe.epochs) // 4
    return Recipe(column, **chosen)
