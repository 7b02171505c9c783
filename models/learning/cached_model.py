"""Trained networks kept in the cache folder under a name that covers all that decided them.

The cache holds models of the recordings it has seen, unencrypted; whoever may not have a model must not read that
folder.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

import torch
from torch import nn

from sotto.audio import cache
from sotto.models.architectures import ModelError
from sotto.models.weights import ModelRecord, load, save

_log = logging.getLogger("sotto")


def kept(
    name: str, about: Mapping[str, object], train: Callable[[], tuple[nn.Module, ModelRecord]]
) -> tuple[nn.Module, ModelRecord]:
    """The model of an earlier run with the same ``about`` (plain JSON), or else what ``train`` makes, which is kept.

    A file that is damaged is made again; a cache that cannot be written is no cache, never an error.
    """
    key = cache.key_of({**about, "torch": torch.__version__})
    path = cache.root() / "models" / f"{name}-{key}.safetensors"
    if path.exists():
        try:
            found = load(path)
        except ModelError as error:
            _log.warning("cache: %s; it is trained again", error)
        else:
            _log.info("reused the trained model %s", name)
            return found
    module, record = train()
    module.eval()
    try:
        save(path, module, record)
    except OSError as error:
        _log.warning("cache: cannot write %s (%s); going on without it", path, error.strerror or error)
    return module, record
