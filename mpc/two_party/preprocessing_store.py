"""Prepared queries on disk, each party its own folder: made in one session, used in a later one, once.

When a session ends, what it prepared and did not use is kept under the number that both parties gave it.  A later
session about the same network asks for it by that number: both take it off their disks, marked used before the first
byte that depends on it is sent, or neither does.  So a crash wastes preparations and repeats none.  The number links
the sessions: Bob sees that both were the same Alice's, also where no certificate says so.

Files, keys, locks and the order of states are those of the dealer's stock (:mod:`sotto.mpc.dealing.stock`): sealed by
AES-256-GCM under a key of the folder's own, readable by one account.  What that does not protect from is the same, too:
whoever has the key and a copy of the folder reads every query made from it, and a folder put back from a backup gives
the same preparations again, which **opens what they masked**.  Keep it on one disk and leave it out of backups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from safetensors.numpy import load, save

from sotto.link import encode
from sotto.mpc.dealing.sealed_folder import FORMAT, MOST_FILE_BYTES, SealedFolder, of_disk
from sotto.mpc.dealing.stock import Stock
from sotto.mpc.errors import StockError
from sotto.mpc.messages import VERSION, Terms
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.correlations import AliceGate, BobGate, Selection, Triples
from sotto.mpc.two_party.gates.multiplication import WordTriples
from sotto.mpc.two_party.preprocessing import AlicePrepared, BobPrepared

NUMBER_BYTES = 16
MOST_KEPT = 1 << 12  # of all networks together: a peer must not fill the disk

_FILE = "prepared"
_Arrays = dict[str, npt.NDArray[Any]]


class PreprocessingStore(Stock):
    """A folder of prepared queries of one party; several sessions of one account may share it.

    Raises :class:`sotto.mpc.StockError` when the folder or its key are open to other accounts, missing or damaged.
    """

    def __repr__(self) -> str:
        return f"<mpc.PreprocessingStore {self._path}>"

    def keep(self, digest: str, number: bytes, prepared: AlicePrepared | BobPrepared) -> bool:
        """Store a preparation under its number; False when there are enough of these already."""
        content = _saved(prepared)
        with of_disk(StockError("cannot-keep", f"{self._path}: cannot keep a preparation")):
            with self._locked():
                if len(self._folders("ready")) >= MOST_KEPT:
                    return False
                folder = SealedFolder.create(self._path, f"{digest}.{number.hex()}", self._key)
            with folder:
                folder.write(_FILE, content)
                folder.rename("ready")
        return True

    def ready_at_all(self) -> bool:
        """Whether anything waits, for whatever network."""
        return bool(self._folders("ready"))

    def numbers(self, digest: str) -> list[bytes]:
        """What waits, in no order that matters."""
        return [bytes.fromhex(path.stem.rpartition(".")[2]) for path in self._folders("ready", digest)]

    def take(self, digest: str, number: bytes) -> bytes | None:
        """What was stored under ``number``, gone from the disk; None when nothing was, or somebody else has it."""
        with (
            of_disk(StockError("cannot-mark", "nothing was sent: it cannot be marked used")),
            self._locked(),
        ):
            folder = SealedFolder.lock(self._path / f"{digest}.{number.hex()}.ready", self._key)
            if folder is None:
                return None
            folder.mark_used()
        with folder:
            return folder.read(_FILE, MOST_FILE_BYTES)


def digest_of(terms: Terms, examples: int, party: int, weights: Mapping[int, Words] | None) -> str:
    """Names what a preparation is for; Bob's depends on his weights, and so does its name."""
    digest = Hash(SHA256())
    digest.update(FORMAT + f"{VERSION} two-party 2 {party} {examples} ".encode() + encode(terms))
    for out, words in sorted((weights or {}).items()):
        digest.update(f" {out} {words.shape} ".encode() + words.tobytes())
    return digest.finalize().hex()


def _saved(prepared: AlicePrepared | BobPrepared) -> bytes:
    arrays: _Arrays = {}
    _flatten(arrays, "", prepared)
    return save(arrays)


def alice_of(content: bytes) -> AlicePrepared:
    """What Alice stored."""
    arrays = load(content)
    masks, products = (_numbered(arrays, name) for name in ("masks", "products"))
    return AlicePrepared(masks, products, _built_all(AliceGate, arrays, "gates"), _triples(arrays))


def bob_of(content: bytes) -> BobPrepared:
    """What Bob stored."""
    arrays = load(content)
    products, gates = _numbered(arrays, "products"), _built_all(BobGate, arrays, "gates")
    return BobPrepared(products, gates, _triples(arrays), arrays["choices"].tobytes())


def _flatten(arrays: _Arrays, name: str, value: Any) -> None:
    """Arrays by their path; what is None has no path."""
    if isinstance(value, np.ndarray):
        arrays[name] = np.ascontiguousarray(value)
    elif isinstance(value, bytes):
        arrays[name] = np.frombuffer(value, np.uint8)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            _flatten(arrays, f"{name}.{key}", each)
    elif value is not None:
        for field in dataclasses.fields(value):
            _flatten(arrays, f"{name}.{field.name}" if name else field.name, getattr(value, field.name))


def _numbered(arrays: _Arrays, name: str) -> dict[int, Words]:
    """Arrays called ``name`` and a register."""
    return {int(path.split(".")[1]): words for path, words in arrays.items() if path.split(".")[0] == name}


def _triples(arrays: _Arrays) -> dict[int, WordTriples]:
    return _built_all(WordTriples, arrays, "triples")


def _built_all(kind: type[Any], arrays: _Arrays, name: str) -> dict[int, Any]:
    registers = sorted({int(path.split(".")[1]) for path in arrays if path.startswith(f"{name}.")})
    return {register: _built(kind, arrays, f"{name}.{register}") for register in registers}


def _built(kind: type[Any], arrays: _Arrays, name: str) -> Any:
    """An object of dataclass ``kind`` out of the arrays below ``name``; None where there are none."""
    nested = {"triples": Triples, "selection": Selection}
    values = {}
    for field in dataclasses.fields(kind):
        path = f"{name}.{field.name}"
        values[field.name] = _built(nested[field.name], arrays, path) if field.name in nested else arrays.get(path)
    return None if all(value is None for value in values.values()) else kind(**values)
