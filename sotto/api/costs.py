"""What a session cost so far, by phase and party."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sotto.bench.parties.parties import Phase


@dataclass(frozen=True)
class Step:
    """One phase.

    Attributes
    ----------
    ms
        milliseconds of wall clock that Alice waited.
    bytes
        what each party put on its links, frame headers included, by role.  Over :func:`sotto.connect` only what
        crossed Alice's own links is known: what Bob and the dealer say to one another is not in it.
    rounds
        how often each party waited for another, by role; over :func:`sotto.connect` Alice's alone.
    """

    ms: float
    bytes: Mapping[str, int]
    rounds: Mapping[str, int]

    @classmethod
    def of(cls, phase: Phase) -> Step:
        """A measured phase."""
        return cls(
            phase.milliseconds,
            {role: count.sent for role, count in phase.counts.items()},
            {role: count.rounds for role, count in phase.counts.items()},
        )


@dataclass(frozen=True)
class Costs:
    """What the session's set-up and its last query cost.  ``print`` shows a table.

    There is no cost by layer: masks and comparison keys of all layers come from the dealer in one bundle, and the
    layers of a query overlap at the two parties, so a layer has no time of its own to be measured from outside.

    Attributes
    ----------
    setup
        once a session: keys, shapes, masked weights.
    offline
        what was made ready for the last query before its features came in; None where nothing was.
    online
        the last query, from features to answer; None before the first.
    examples
        how many the last query had.
    queries
        how many were answered.
    peak_rss_mb
        most memory that each party's process has held so far, in MB, by role; empty over
        :func:`sotto.connect`, where Alice's process is the caller's and the others are elsewhere.
    """

    setup: Step
    offline: Step | None = None
    online: Step | None = None
    examples: int = 0
    queries: int = 0
    peak_rss_mb: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        roles = list(self.setup.bytes)
        lines = [f"{'':22}{'ms':>10}" + "".join(f"{f'bytes {role}':>15}" for role in roles) + "  rounds"]
        query = "" if self.examples == 1 else f", {self.examples} examples"
        steps = {"set-up": self.setup, f"offline{query}": self.offline, f"online{query}": self.online}
        for name, step in steps.items():
            if step is None:
                lines.append(f"{name:22}{'–':>10}")
                continue
            sent = "".join(f"{step.bytes.get(role, 0):>15,}" for role in roles)
            lines.append(f"{name:22}{step.ms:>10,.2f}{sent}  {step.rounds.get('alice', 0)}")
        if self.peak_rss_mb:
            held = "".join(f"{self.peak_rss_mb.get(role, 0.0):>15,.0f}" for role in roles)
            lines.append(f"{'peak memory, MB':22}{'':>10}{held}")
        return "\n".join(lines)
