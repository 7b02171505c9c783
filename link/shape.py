"""A network's delay and bandwidth, laid over a local connection without root.

The sender works out when the last bit of a frame would arrive (behind the frames before it, at the link's bandwidth,
plus half a round trip) and writes that instant into the frame; the receiver holds the frame back until then.  Both
processes must be on one machine, where the monotonic clock is one clock.  No loss, no slow start, no jitter:
the figures are those of a well-behaved link of that delay and bandwidth.
"""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Shape:
    """Round-trip time in milliseconds and bandwidth in Mbit/s, each direction by itself; zero means unlimited."""

    name: str
    rtt_ms: float
    mbit_per_s: float

    @property
    def shaped(self) -> bool:
        return self.rtt_ms > 0 or self.mbit_per_s > 0


SHAPES = {
    "loopback": Shape("loopback", 0.0, 0.0),
    "lan": Shape("lan", 1.0, 1000.0),
    "wan": Shape("wan", 40.0, 100.0),
}
LOOPBACK = SHAPES["loopback"]


class Pacer:
    """Arrival times of one direction of a link of a given shape."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self._busy_until = 0

    def deliver_at(self, frame_bytes: int) -> int:
        """When a frame of ``frame_bytes`` sent now has arrived in full: monotonic nanoseconds, 0 on a plain link."""
        if not self.shape.shaped:
            return 0
        departure = max(time.monotonic_ns(), self._busy_until)
        if self.shape.mbit_per_s:
            departure += int(frame_bytes * 8e3 / self.shape.mbit_per_s)
        self._busy_until = departure
        return departure + int(self.shape.rtt_ms * 5e5)
