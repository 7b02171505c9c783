"""Keys of an experiment, drawn from its seed, so that its figures can be had again.  They protect nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from sotto import keyed


def drawn_keys(kind: str, block_size: int, dimension: int = 1, *, seed: int, purpose: str) -> Iterator[keyed.Key]:
    """Endlessly, keys of one type and size, no two successive ones alike; others for another ``purpose``."""
    number, last = 0, None
    while True:
        text = f"{purpose} {kind} {block_size} {dimension} {seed} {number}"
        drawn = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
        key = keyed.generate_key(kind, block_size, dimension, seed=drawn)
        number += 1
        if key != last:
            yield key
            last = key
