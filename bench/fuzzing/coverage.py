"""The engine that looks for new paths through a decoder: atheris, Google's libFuzzer for Python.

Half of its inputs come from :mod:`sotto.bench.fuzzing.mutation`, which knows the structure; what reaches code that
nothing reached before is kept and bent further.  Python code is watched, the C++ libraries' is not.
"""

from __future__ import annotations

import importlib
import importlib.util
import random
import sys
import tempfile
import time
from typing import Any

from sotto.bench.fuzzing.decoder import Target
from sotto.bench.fuzzing.mutation import mutated

_PACKAGES = tuple(
    f"sotto.{name}." for name in ("link", "mpc", "he", "hashing", "keyed", "models", "serving", "adversarial")
)


def available() -> bool:
    """Whether atheris is installed; it is for developers."""
    return importlib.util.find_spec("atheris") is not None


def instrument() -> None:
    """Watch the decoders' packages from now on, also what was imported already."""
    atheris = importlib.import_module("atheris")  # only developers have it

    for name, module in list(sys.modules.items()):
        if f"{name}.".startswith(_PACKAGES):
            _instrument_module(module, atheris)


def _instrument_module(module: Any, atheris: Any) -> None:
    for owner in [module, *(each for each in vars(module).values() if isinstance(each, type))]:
        if owner is not module and owner.__module__ != module.__name__:
            continue
        for found in list(vars(owner).values()):
            if callable(found) and getattr(found, "__module__", None) == module.__name__ and hasattr(found, "__code__"):
                atheris.instrument_func(found)


def explore(trial: Any, target: Target, seconds: float, seed: int) -> None:
    """Let libFuzzer choose inputs for ``seconds``.  It ends the process itself."""
    atheris = importlib.import_module("atheris")  # only developers have it

    told = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal told
        trial.attempt(data)
        if time.monotonic() - told > 1:
            told = time.monotonic()
            trial.tell()

    def bend(data: bytes, most: int, number: int) -> bytes:
        draw = random.Random(number)  # noqa: S311  an experiment that can be repeated
        if draw.random() < 0.5:
            return mutated([data, *target.seeds], draw, most=most)
        found: bytes = atheris.Mutate(data, most)
        return found

    folder = tempfile.mkdtemp(prefix="sotto-fuzz-")
    largest = max(len(each) for each in target.seeds)
    options = [
        f"-max_total_time={max(1, round(seconds))}",
        f"-max_len={2 * largest + 4096}",
        f"-seed={seed + 1}",
        "-rss_limit_mb=0",
    ]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/"], one, custom_mutator=bend)
    atheris.Fuzz()
