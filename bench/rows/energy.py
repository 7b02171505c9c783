"""Energy of the processors' packages, where the kernel tells it: RAPL (running average power limit).

Linux shows a counter of microjoules for each package, readable by root alone on most machines, and in few virtual ones.
A counter is of the whole package: what else runs on the machine is in it.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

POWERCAP = Path("/sys/class/powercap")


class EnergyMeter:
    """Sums what the packages take while it is entered, again and again.  ``folder`` is where the kernel's zones are."""

    def __init__(self, folder: Path = POWERCAP) -> None:
        zones = sorted(folder.glob("intel-rapl:*"))
        self._zones = [zone for zone in zones if zone.name.count(":") == 1]  # of a package, not of a part of one
        self._microjoules: int | None = 0 if self._zones else None
        self._before: list[int] = []

    def __enter__(self) -> Self:
        self._before = self._read()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        after = self._read()
        if self._microjoules is not None:
            steps = zip(self._zones, self._before, after, strict=True)
            self._microjoules += sum(
                end - begin if end >= begin else end - begin + _number(zone / "max_energy_range_uj")
                for zone, begin, end in steps
            )

    def joules(self, queries: int) -> float | None:
        """For each of ``queries``; None where the kernel does not tell."""
        return None if self._microjoules is None or not queries else self._microjoules / 1e6 / queries

    def _read(self) -> list[int]:
        try:
            return [_number(zone / "energy_uj") for zone in self._zones]
        except (OSError, ValueError):
            self._zones, self._microjoules = [], None
            return []


def _number(path: Path) -> int:
    return int(path.read_text(encoding="ascii"))
