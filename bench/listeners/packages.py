"""Optional packages: one clear line where one is missing."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType

import torch

from sotto.link import Coded

INSTALL = "pip install 'sotto[listeners]' && pip install --no-deps resemblyzer==0.1.4"


class ListenersMissing(Coded, RuntimeError):
    """A package of the extra ``listeners`` is not installed."""


def load(name: str) -> ModuleType:
    """The package, imported; the number of threads that torch uses stays what it is (silero-vad sets it).

    Raises
    ------
    ListenersMissing
        it, or something it needs, is not installed.
    """
    threads = torch.get_num_threads()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of their own dependencies
            return importlib.import_module(name)
    except ImportError as error:
        raise ListenersMissing("not-installed", f"{name} cannot be imported ({error}): {INSTALL}") from None
    finally:
        torch.set_num_threads(threads)
