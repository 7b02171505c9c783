"""One thread and a seeded random state while a network is trained; the caller's state afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import threadpoolctl
import torch


@contextmanager
def seeded(seed: int) -> Iterator[torch.Generator]:
    """Seed torch inside and yield a generator for order and drawing, seeded alike.

    The same seed on the same machine gives the same weights.  Never for keys: those are drawn from ``secrets``.
    """
    threads = torch.get_num_threads()
    with torch.random.fork_rng(), threadpoolctl.threadpool_limits(1):  # NumPy's libraries add up in another order, too
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        try:
            yield torch.Generator().manual_seed(seed)
        finally:
            torch.set_num_threads(threads)
