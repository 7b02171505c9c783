"""A cheating Bob changes one word of one message, and Alice accepts a wrong class.

Additive sharing without authentication: whatever a party adds to a share, it adds to the shared value.  The
sweep runs over every message that Bob sends in a query, one altered message a query, and counts what Alice made
of it.  (A wrong class alone Bob could have had by using another network; what he could not have by that is a
choice made after he has seen how the query goes, and a lie that depends on Alice's masks.)
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import nn

from link import Answer
from mpc.attacks.parties import Cheat, run_parties
from mpc.messages import Mode
from mpc.plan import Shape

_SPREAD = 0x9E3779B97F4A7C15  # odd, without structure: spreads trial numbers over words and offsets


@dataclass(frozen=True)
class Tampering:
    """Outcome of a sweep: ``trials`` altered queries, of which Alice accepted a wrong class in ``wrong``, accepted the
    right one in ``harmless`` and took no answer in ``refused``; ``by_message`` has (wrong, trials) for each message."""

    trials: int
    wrong: int
    harmless: int
    refused: int
    by_message: dict[str, tuple[int, int]]

    @property
    def wrong_rate(self) -> float:
        """Fraction of altered queries whose wrong class Alice accepted, over all messages."""
        return self.wrong / self.trials

    @property
    def best_rate(self) -> float:
        """The same for the message that serves the cheater best."""
        return max(wrong / trials for wrong, trials in self.by_message.values())


def tamper(
    module: nn.Module, input_shape: Shape, features: npt.ArrayLike, *, trials: int = 64, mode: Mode = "crypten"
) -> Tampering:
    """Run ``trials`` queries about ``features``, float32 (n, *input_shape), taken in turn; Bob alters one message each.

    The right class of an example is the one an honest private run gives.  Raises :class:`mpc.MpcError`.
    """
    examples = np.asarray(features, np.float32)[:, None]
    # The message moves on once the examples have had their turn, so that messages and examples mix.
    cheats = [
        Cheat(message=trial, word=trial * _SPREAD >> 7, offset=(trial + 1) * _SPREAD % 2**64) for trial in range(trials)
    ]
    order = [(trial + trial // len(examples)) % len(examples) for trial in range(trials)]
    batches = [*examples, *(examples[number] for number in order)]
    run = run_parties(module, input_shape, batches, mode=mode, cheats=[*[None] * len(examples), *cheats])
    got = [_label(answer) for answer in run.answers]
    right, got = got[: len(examples)], got[len(examples) :]
    places = run.places("bob")
    tried, fell = Counter[str](), Counter[str]()
    for cheat, number, label in zip(cheats, order, got, strict=True):
        place = places[cheat.message % len(places)]
        tried[place] += 1
        fell[place] += label is not None and label != right[number]
    wrong, refused = fell.total(), sum(label is None for label in got)
    by_message = {place: (fell[place], count) for place, count in tried.items()}
    return Tampering(trials, wrong, trials - wrong - refused, refused, by_message)


def _label(answer: Answer | str) -> int | None:
    return None if isinstance(answer, str) else int(answer.labels[0])
