"""How good it sounds: DNSMOS (Reddy et al., ICASSP 2022), a network's guess at listeners' votes from 1 to 5."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from sotto.bench.listeners.packages import load
from sotto.bench.listeners.sound import RATE, at_level


def quality(waves: Iterable[npt.ArrayLike]) -> float:
    """Mean DNSMOS (overall) of sounds (samples,) at 16 kHz; the network hears 9 s, so shorter ones are repeated.

    Raises
    ------
    ListenersMissing
        speechmos, or something it needs, is not installed.
    """
    judge = load("speechmos.dnsmos")
    return float(np.mean([judge.run(at_level(wave), RATE)["ovrl_mos"] for wave in waves]))
