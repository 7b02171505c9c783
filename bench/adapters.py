"""The paradigms as experiments: the module ``experiment.py`` of a paradigm's package has the names of
:class:`ExperimentAdapter`.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from sotto.serving import registry

if TYPE_CHECKING:
    from sotto.bench.experiment import Configuration, Experiment
    from sotto.bench.workbench import Workbench
    from sotto.serving.terms import FrontEnd


class ExperimentAdapter(Protocol):
    """What ``experiment.py`` of a paradigm offers.

    ``sample_cells(preset)``, which not every paradigm has, are its rows where Alice gives samples and no features.
    """

    @property
    def ATTACKS(self) -> Mapping[str, str]:  # noqa: N802  a module's constant
        """Attacks by name, with one line on what the adversary does; ``Experiment.attacks`` runs them."""

    def missing(self) -> str | None:
        """One line that says what to install, or None when the paradigm can be used."""

    def cells(self, preset: str) -> list[Configuration]:
        """The rows of this paradigm in a comparison, its default mode first."""

    def build(self, cell: Configuration, bench: Workbench) -> Experiment:
        """Train what ``cell`` needs, or take it from the cache, and set up its parties."""

    def prepare(self, model: str, mode: str, bench: Workbench, bob: Path, alice: Path) -> FrontEnd | None:
        """Train ``model``, or take it from the cache, and write what each party may hold into its folder.

        ``model`` and ``mode`` are among those that the paradigm declares.  Returns Alice's own front end, None where
        she uses Bob's.
        """


class _Experiments(Mapping[str, ExperimentAdapter]):
    def __getitem__(self, name: str) -> ExperimentAdapter:
        if name not in registry.names():
            raise KeyError(name)
        return cast(ExperimentAdapter, importlib.import_module(registry.paradigm(name).experiment))

    def __iter__(self) -> Iterator[str]:
        return iter(registry.names())

    def __len__(self) -> int:
        return len(registry.names())


#: Imported when they are first used: a command that needs one of them does not wait for the others' libraries.
EXPERIMENTS: Mapping[str, ExperimentAdapter] = _Experiments()
