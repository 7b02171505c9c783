"""Options that several commands take, declared once: as the fields of a dataclass, which a command takes as one."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints


def expanded(command: Callable[..., None]) -> Callable[..., None]:
    """``command`` as Typer is to see it: with an option for every field where a parameter's default is a dataclass."""
    declared = inspect.signature(command, eval_str=True).parameters
    groups: dict[str, Any] = {
        name: each.default for name, each in declared.items() if dataclasses.is_dataclass(each.default)
    }

    @functools.wraps(command)
    def run(**given: Any) -> None:
        for name, group in groups.items():
            own = {field.name: given.pop(field.name) for field in dataclasses.fields(group)}
            given[name] = dataclasses.replace(group, **own)
        command(**given)

    parameters: list[inspect.Parameter] = []
    for name, each in declared.items():
        group = groups.get(name)
        kinds = get_type_hints(type(group), include_extras=True) if group else {}
        parameters += [each.replace(name=n, annotation=kind, default=getattr(group, n)) for n, kind in kinds.items()]
        parameters += [] if group else [each]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in parameters}
    return run
