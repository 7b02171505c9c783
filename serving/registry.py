"""The one list of paradigms: what ``sotto`` can serve, simulate, compare, attack and report.

A paradigm is one declaration, ``PARADIGM`` in the module ``paradigm.py`` of its package, and one entry: in ``MODULES``
here, or, in a package that is installed beside this one, an entry point of the group ``sotto.paradigms``::

    [project.entry-points."sotto.paradigms"]
    mine = "my_package.paradigm"

A declaration is light; what it names is imported when it is first used, so that a command that needs one paradigm does
not wait for the others' libraries.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, cast

from sotto.serving.reveal import Reveal

if TYPE_CHECKING:  # a command that only names paradigms does not wait for NumPy
    from sotto.serving.adapters import Hosted, LoweringAdapter, LoweringOptions, ModelSource, ServiceAdapter

GROUP = "sotto.paradigms"

#: The order in which paradigms are compared and shown.
MODULES: Mapping[str, str] = {
    "mpc": "sotto.mpc.paradigm",
    "he": "sotto.he.paradigm",
    "hashing": "sotto.hashing.paradigm",
    "keyed": "sotto.keyed.paradigm",
    "adversarial": "sotto.adversarial.paradigm",
}


@dataclass(frozen=True)
class Paradigm:
    """What a paradigm is, for every command.

    Attributes
    ----------
    name
        as on the command line and in a row.
    modes
        those that can be served, the default first.
    service
        the module that is its :class:`sotto.serving.adapters.ServiceAdapter`.
    experiment
        the module that is its :class:`sotto.bench.adapters.ExperimentAdapter`.
    models
        what ``sotto prepare`` can train for it, the default first.
    prepared_as
        the modes of ``sotto prepare``, where they are not those that are served: a kind of key, say.
    dealt
        the modes in which Alice and Bob both need a link to the dealer.
    networks
        models of a comparison that it can run.
    no_others
        why it runs no other model, in one line.
    missing_values
        why a figure of a row is null, by mode (empty: all of them) and field.
    preload
        modules that take parties long to import: who starts many of them has a server import these once.
    reveals
        what Alice can be told.
    lowers
        whether the service is a :class:`sotto.serving.adapters.LoweringAdapter` too.
    on_links
        what a slower link changes of its protocols, in one line.
    no_samples
        why it answers no query of samples alone, in one line; empty where it does with some model.
    on_samples
        which model it answers such a query with, in one line, where that is no model of features behind its analysis.
    """

    name: str
    modes: tuple[str, ...]
    service: str
    experiment: str
    models: tuple[str, ...]
    prepared_as: tuple[str, ...] = ()
    dealt: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    no_others: str = "its models are its own"
    missing_values: Mapping[tuple[str, str], str] = field(default_factory=dict)
    preload: tuple[str, ...] = ()
    reveals: tuple[Reveal, ...] = ("class", "logits")
    lowers: bool = False
    on_links: str = ""
    no_samples: str = "Alice computes its features"
    on_samples: str = ""

    def needs_dealer(self, mode: str) -> bool:
        """Whether Alice and Bob both need a link to the dealer in a mode; empty: the default one."""
        return (mode or self.modes[0]) in self.dealt

    def require_reveal(self, reveal: str) -> None:
        """Raise :class:`sotto.serving.errors.AdapterError` for what this paradigm does not tell."""
        from sotto.serving.errors import AdapterError  # and the links, for which no --help waits

        if reveal not in self.reveals:
            raise AdapterError("not-revealed", f"{self.name} reveals {' or '.join(self.reveals)}, not '{reveal[:40]}'")

    def require_lowering(self, options: LoweringOptions) -> None:
        """Raise :class:`sotto.serving.errors.AdapterError` for options where this paradigm makes no network ready."""
        from sotto.serving.adapters import AS_DECLARED
        from sotto.serving.errors import AdapterError

        if options == AS_DECLARED or self.lowers:
            return
        if options.features_at == "circuit":
            raise AdapterError("option-not-taken", self.why_no_circuit)
        raise AdapterError(
            "option-not-taken", f"{self.name} takes no activation error, output or public weights: leave them out"
        )

    @property
    def why_no_circuit(self) -> str:
        """One line on why it does not put a network's analysis before the network."""
        return f"{self.name} puts no analysis before a network: {self.no_samples or self.on_samples}"

    @property
    def modules(self) -> tuple[str, ...]:
        """What a session's process imports."""
        return self.service, *self.preload


def names() -> tuple[str, ...]:
    """All paradigms, this project's own first."""
    return tuple(_modules())


@cache
def paradigm(name: str) -> Paradigm:
    """The declaration of a paradigm.  Raises :class:`sotto.serving.errors.AdapterError` for a name that is none."""
    modules = _modules()
    if name not in modules:
        from sotto.serving.errors import AdapterError

        raise AdapterError("unknown-paradigm", f"'{name[:40]}' is no paradigm: choose one of {', '.join(modules)}")
    declared = importlib.import_module(modules[name]).PARADIGM
    if not isinstance(declared, Paradigm) or declared.name != name:
        from sotto.serving.errors import AdapterError

        raise AdapterError("not-declared", f"{modules[name]}: declares no paradigm '{name}'")
    return declared


def service(name: str) -> ServiceAdapter:
    """How a paradigm is served and asked.

    Raises :class:`sotto.serving.errors.AdapterError` for a name that is none.
    """
    return cast("ServiceAdapter", importlib.import_module(paradigm(name).service))


def host(source: ModelSource) -> Hosted:
    """Load what Bob serves, in the default mode where none is named.  Raises one-line errors."""
    from sotto.serving.adapters import require_mode

    paradigm(source.paradigm).require_reveal(source.reveal)
    mode = require_mode(paradigm(source.paradigm).modes, source.mode)
    return service(source.paradigm).host(replace(source, mode=mode))


def lower(name: str, folder: Path, options: LoweringOptions) -> None:
    """Make the network in Bob's folder ready, where the paradigm does that; otherwise there are no such options.

    Raises :class:`sotto.serving.errors.AdapterError` and other one-line errors.
    """
    paradigm(name).require_lowering(options)
    if paradigm(name).lowers:
        cast("LoweringAdapter", service(name)).lower(folder, options)


@cache
def _modules() -> Mapping[str, str]:
    others = {point.name: point.value for point in entry_points(group=GROUP) if point.name not in MODULES}
    return {**MODULES, **others}
