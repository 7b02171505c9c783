"""What an answer may tell Alice, from little to much."""

from typing import Literal, get_args

#: The most that Alice may learn of an answer; a later one permits those before it.
Reveal = Literal["class", "logits", "values"]
REVEALS: tuple[Reveal, ...] = get_args(Reveal)
