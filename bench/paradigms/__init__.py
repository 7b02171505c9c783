"""The paradigms as experiments: one small module each, and the only place where their doors are opened.

A new paradigm is one more module with the names of :class:`Paradigm`, and its name in ``NAMES``.  Modules are imported
when they are first used, so that a command that needs one of them does not wait for the others' libraries.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    from sotto.bench.experiment import Configuration, Experiment
    from sotto.bench.workbench import Workbench

NAMES = ("mpc", "he", "hashing", "keyed", "adversarial")


class Paradigm(Protocol):
    """What a module here offers."""

    @property
    def ATTACKS(self) -> Mapping[str, str]:  # noqa: N802  a module's constant
        """Attacks by name, with one line on what the adversary does; ``Experiment.attacks`` runs them."""

    def missing(self) -> str | None:
        """One line that says what to install, or None when the paradigm can be used."""

    def cells(self, preset: str) -> list[Configuration]:
        """The rows of this paradigm in a comparison, its default mode first."""

    def build(self, cell: Configuration, bench: Workbench) -> Experiment:
        """Train what ``cell`` needs, or take it from the cache, and set up its parties."""


class _Paradigms(Mapping[str, Paradigm]):
    def __getitem__(self, name: str) -> Paradigm:
        if name not in NAMES:
            raise KeyError(name)
        return cast(Paradigm, importlib.import_module(f"sotto.bench.paradigms.{name}"))

    def __iter__(self) -> Iterator[str]:
        return iter(NAMES)

    def __len__(self) -> int:
        return len(NAMES)


PARADIGMS: Mapping[str, Paradigm] = _Paradigms()
