"""Figures of a row out of measured phases: medians of time, bytes, rounds and processor time over a run's queries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sotto.bench.parties.parties import Asked, Phase
from sotto.bench.rows.row import Spent, Timing, Traffic


def timing(phases: Sequence[Phase]) -> Timing | None:
    """Median and 95th percentile of what Alice waited; None when there was no such phase."""
    return timing_of([phase.milliseconds for phase in phases]) if phases else None


def timing_of(milliseconds: Sequence[float]) -> Timing:
    """Median and 95th percentile of at least one run."""
    return Timing(float(np.median(milliseconds)), float(np.percentile(milliseconds, 95)))


def traffic(phases: Sequence[Phase]) -> Traffic:
    """Median bytes that each party sent in a phase; the dealer's are None where there is none."""
    dealer = sent(phases, "dealer") if "dealer" in phases[0].counts else None
    return Traffic(sent(phases, "alice"), sent(phases, "bob"), dealer)


def sent(phases: Sequence[Phase], role: str) -> int:
    """Median bytes that ``role`` sent in a phase."""
    return round(float(np.median([phase.counts[role].sent for phase in phases])))


def rounds(phases: Sequence[Phase]) -> int:
    """Median number of Alice's waits in a phase."""
    return round(float(np.median([phase.counts["alice"].rounds for phase in phases])))


def fields(asked: Sequence[Asked]) -> dict[str, Any]:
    """The fields of a row that timed queries of one example fill, but for those that batches and sessions have."""
    online, offline = [each.online for each in asked], [each.offline for each in asked if each.offline]
    return {
        "offline_ms": timing(offline),
        "online_ms": timing(online),
        "bytes": traffic(online),
        "rounds": rounds(online),
        "key_bytes": sent(offline, "dealer") if offline and "dealer" in offline[0].counts else None,
        "peak_rss_mb": round(max(count.peak_rss_mb for count in online[-1].counts.values()), 1),
    }


def batched(asked: Sequence[Asked], size: int) -> tuple[float | None, float | None]:
    """Median milliseconds a clip, online and offline, over the queries of ``size`` > 1 clips; None without any."""
    full = [each for each in asked if len(each.labels) == size > 1]
    offline = [each.offline.milliseconds / size for each in full if each.offline]
    online = [each.online.milliseconds / size for each in full]
    return _median(online), _median(offline)


def spent(*phases: Sequence[Phase]) -> Spent | None:
    """The sum of the medians of several kinds of phase; None when there was none."""
    known = [kind for kind in phases if kind]
    if not known:
        return None
    roles = list(known[0][0].counts)
    return Spent(
        sum(float(np.median([phase.milliseconds for phase in kind])) for kind in known),
        sum(round(float(np.median([phase.bytes for phase in kind]))) for kind in known),
        {role: sum(_busy(kind, role) for kind in known) / 1e3 for role in roles},
    )


def metrics(prepared: Sequence[Phase], asked: Sequence[Asked]) -> dict[str, float | None]:
    """What a row's own fields have no place for: the session's set-up, and each party's share of both phases.

    ``session_ms`` and ``session_bytes`` (all parties') are the set-up; ``offline_bytes_…`` what a party sent for one
    query ahead of it; ``…_busy_ms_…`` milliseconds of its processor, which leave out its waits for the others.
    """
    figures: dict[str, float | None] = {
        "session_ms": float(np.median([phase.milliseconds for phase in prepared])),
        "session_bytes": float(prepared[0].bytes),
    }
    offline = [each.offline for each in asked if each.offline]
    if offline:
        figures["offline_rounds"] = float(rounds(offline))
        figures |= {f"offline_bytes_{role}": float(sent(offline, role)) for role in offline[0].counts}
        figures |= {f"offline_busy_ms_{role}": _busy(offline, role) for role in offline[0].counts}
    online = [each.online for each in asked]
    return figures | {f"online_busy_ms_{role}": _busy(online, role) for role in online[0].counts}


def _busy(phases: Sequence[Phase], role: str) -> float:
    return float(np.median([phase.counts[role].busy_ms for phase in phases]))


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
