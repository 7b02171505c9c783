"""Files of encrypted models: what the model owner hands to the provider.

A model file of :mod:`sotto.models.weights` whose first convolution is encrypted and whose record names the key by its
fingerprint.  The key itself is never in it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from torch import Tensor, nn

from sotto.keyed.encryption.keys import Key
from sotto.keyed.encryption.model_encryption import encrypt_model
from sotto.keyed.errors import NotEligibleError
from sotto.models.weights import ModelRecord, load, save


def save_encrypted_model(
    path: str | Path,
    module: nn.Module,
    key: Key,
    record: ModelRecord,
    *,
    example: Tensor,
    layer: str | None = None,
) -> nn.Module:
    """Encrypt the plain ``module`` under ``key``, write it to ``path``, and return the encrypted copy.

    Raises
    ------
    NotEligibleError
        see :func:`sotto.keyed.encrypt_model`; or the record says that the module is encrypted
        already. ModelError: the record does not describe the module.
    """
    if record.encrypted_for:
        raise NotEligibleError("encrypted-already", "this model is encrypted already: start from the plain one")
    encrypted = encrypt_model(module, key, example=example, layer=layer)
    save(path, encrypted, msgspec.structs.replace(record, encrypted_for=key.fingerprint))
    return encrypted


def load_encrypted_model(path: str | Path) -> tuple[nn.Module, ModelRecord]:
    """The encrypted model and its record, whose ``encrypted_for`` is the fingerprint of the key.

    Raises
    ------
    NotEligibleError
        the file holds a plain model, which a provider should not have.
    ModelError
        the file is no usable model.
    """
    module, record = load(path)
    if not record.encrypted_for:
        raise NotEligibleError(
            "not-encrypted", f"{path}: this model is not encrypted; its owner must encrypt it for a key first"
        )
    return module, record
