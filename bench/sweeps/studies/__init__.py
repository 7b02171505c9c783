"""What can be swept: one module each, with its axes and what one point of their grid measures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sotto.bench.rows.row import JSONValue, Row
from sotto.bench.sweeps.studies import comparison, hash_keys, transform_keys
from sotto.bench.sweeps.studies.axes import Axis
from sotto.bench.workbench import Workbench


class Study(Protocol):
    """What a module here offers.  ``MODULES``: the packages and modules whose source its figures depend on."""

    DESCRIPTION: str
    MODULES: tuple[str, ...]

    def axes(self, preset: str) -> Mapping[str, Axis]:
        """What varies, by name, with the preset's default values."""

    def prepare(self, bench: Workbench) -> None:
        """Compute and cache what all tasks need, once, before workers start."""

    def run(self, bench: Workbench, parameters: Mapping[str, JSONValue]) -> Row:
        """Measure one point.  Whatever it draws comes from ``parameters`` and the workbench's seed."""


STUDIES: Mapping[str, Study] = {
    "hashing": hash_keys,
    "keyed": transform_keys,
    "comparison": comparison,
}
