"""The dealer's stock: dealings made ahead, encrypted on disk, each marked used for one session, a bundle for one query.

A *dealing* is a session's secret and numbered pairs of bundles that belong to it, for one :class:`Terms` and mode; the
weight masks come from the secret, so what a session leaves over fits no other one and is destroyed.  A folder each:

    key                             the stock's AES-256 key, for the dealer's account alone
    <terms>.<dealing>.filling       being made
    <terms>.<dealing>.ready         waits for a session
    <terms>.<dealing>.used          belongs to a session that runs, or that died
        session                     the secret, and for each bundle how many examples and how long
        0, 1, 2, …                  pairs of bundles

Every file is AES-256-GCM under a key of its dealing's own, with the terms, the mode, the dealing and the file's name as
associated data: a file of another place, a changed one and a cut one are refused.

Renaming the folder to ``used`` marks all its bundles, durably and before the first byte that depends on them is sent;
nobody opens a used folder but its owner, and after his death nobody but to delete it.  So a crash wastes bundles and
repeats none, and a query waits for no disk.  The owner takes a bundle off his list before he reads it, and deletes its
file once it is sent.  He holds a lock while he lives, which tells the dead from the living.

What this does not protect from: whoever has the key and a copy of the folder reads every query made from it, and a
stock put back from a backup deals the same bundles again.  Keep it on one disk and leave it out of backups.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.hashes import SHA256, Hash

from sotto.link import FrameError, decode, encode
from sotto.link.storage import opened, write_whole
from sotto.mpc.dealing.dealings import dealing_of
from sotto.mpc.dealing.sealed_folder import (
    FORMAT,
    KEY_BYTES,
    MOST_FILE_BYTES,
    SealedFolder,
    State,
    folder_handle,
    of_disk,
    sync,
    try_lock,
)
from sotto.mpc.errors import StockError
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.messages import VERSION, Mode, Terms
from sotto.mpc.protocols.dealing import SECRET_BYTES
from sotto.mpc.protocols.pieces import whole

_MOST_BUNDLES = 1 << 16
_MOST_CONTENTS_BYTES = 1 << 21
_LOCK_SECONDS = 30.0
_FOLDER_NAME = re.compile(r"[0-9a-f]{64}\.[0-9a-f]{32}\.(filling|ready|used)")


class _Contents(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A dealing's secret, and (examples, bytes for Alice, bytes for Bob) of each of its bundles by number."""

    secret: bytes
    bundles: tuple[tuple[int, int, int], ...]

    def __repr__(self) -> str:
        return f"<contents of a dealing of {len(self.bundles)} bundles>"


class Stock:
    """A folder of dealings; several dealers of one account may share it.

    Raises :class:`sotto.mpc.StockError` when the folder or its key are open to other accounts, missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with of_disk(StockError("cannot-make", f"{self._path}: cannot hold a stock")):
            self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._path.stat().st_mode & 0o077:
                raise StockError("open-folder", f"{self._path}: other users may open this stock; run chmod 700 on it")
            with self._locked():
                self._key = self._load_key()
                self._sweep()

    def __repr__(self) -> str:
        return f"<mpc.Stock {self._path}>"

    def fill(self, terms: Terms, mode: Mode, *, examples: int = 1, count: int = 1) -> None:
        """Make one dealing with the bundles of ``count`` queries of ``examples`` examples each.

        Raises :class:`sotto.mpc.StockError` when it does not fit on the disk; then nothing of it is left.
        """
        terms.plan.require_batch(examples)
        program = compile_program(terms.plan, terms.ranges, terms.reveal)
        parts = program.parts(examples) * count
        if not 1 <= len(parts) <= _MOST_BUNDLES:
            raise StockError(
                "bad-count", f"a dealing holds 1 to {_MOST_BUNDLES} bundles, not {len(parts)}: fill several times"
            )
        secret = secrets.token_bytes(SECRET_BYTES)
        dealing = dealing_of(mode)(program, secret)
        with of_disk(StockError("cannot-write", f"{self._path}: the stock cannot be filled")):
            with self._locked():
                folder = SealedFolder.create(self._path, f"{_digest(terms, mode)}.{secrets.token_hex(16)}", self._key)
            with folder:
                sizes = []
                for number, part in enumerate(parts):
                    alice, bob = self._whole(itertools.chain.from_iterable(dealing.bundle(part, number)))
                    folder.write(str(number), alice + bob)
                    sizes.append((part, len(alice), len(bob)))
                folder.write("session", encode(_Contents(secret, tuple(sizes))))
                folder.rename("ready")

    @staticmethod
    def _whole(made: Iterable[tuple[int, bytes]]) -> tuple[bytes, bytes]:
        """A bundle of which no more is made than fits into a file."""

        def bounded() -> Iterator[tuple[int, bytes]]:
            size = 0
            for party, piece in made:
                size += len(piece)
                if size > MOST_FILE_BYTES:
                    raise StockError(
                        "too-large", "these bundles are too large to be stored: leave the stock out, they are streamed"
                    )
                yield party, piece

        return whole(bounded())

    def ready(self, terms: Terms, mode: Mode) -> int:
        """How many dealings wait for a session."""
        return len(self._folders("ready", _digest(terms, mode)))

    def claim(self, terms: Terms, mode: Mode) -> StockedDealing | None:
        """A dealing for one session, marked used; None when none is left.  Raises :class:`sotto.mpc.StockError`."""
        digest = _digest(terms, mode)
        with (
            of_disk(StockError("cannot-mark", "nothing was sent: a dealing cannot be marked used")),
            self._locked(),
        ):
            self._sweep()
            for path in self._folders("ready", digest):
                folder = SealedFolder.lock(path, self._key)
                if folder:
                    folder.mark_used()
                    return StockedDealing(folder)
        return None

    def _load_key(self) -> bytes:
        path = self._path / "key"
        if not path.exists():
            if self._folders("ready"):
                raise StockError(
                    "file-missing", f"{path}: is missing; put it back, or delete the stock and fill it again"
                )
            write_whole(path, secrets.token_bytes(KEY_BYTES), private=True, durable=True)
            sync(path.parent)
        what = "key of a stock; put it back, or delete the stock and fill it again"
        with opened(path, KEY_BYTES, StockError, what, private=True, follow=False) as file:
            key = file.read(KEY_BYTES)
        if len(key) != KEY_BYTES:
            raise StockError("wrong-file", f"{path}: is no {what}")
        return key

    def _sweep(self) -> None:
        """Destroy the dealings whose owners are gone."""
        for path in [*self._folders("filling"), *self._folders("used")]:
            folder = SealedFolder.lock(path, self._key)
            if folder:
                folder.close()

    def _folders(self, state: State, digest: str = "") -> list[Path]:
        found = [path for path in self._path.glob(f"{digest}*.{state}") if _FOLDER_NAME.fullmatch(path.name)]
        return sorted(found)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """One process at a time may look for a folder to own."""
        deadline = time.monotonic() + _LOCK_SECONDS
        with folder_handle(self._path) as handle:
            while not try_lock(handle):
                if time.monotonic() > deadline:
                    raise StockError("locked", "another process holds the stock's lock: is it stopped?")
                time.sleep(0.01)
            yield


class StockedDealing:
    """A dealing out of the stock, for one session.  ``close`` destroys what is left of it."""

    def __init__(self, folder: SealedFolder) -> None:
        self._folder = folder
        try:
            contents = decode(bytearray(folder.read("session", _MOST_CONTENTS_BYTES)), _Contents)
            self._require_sound(contents)
        except BaseException as error:
            folder.close()
            if isinstance(error, FrameError):
                raise folder.damaged("session") from None
            raise
        self.secret = contents.secret
        self.count = len(contents.bundles)
        self._sizes = [(alice, bob) for _, alice, bob in contents.bundles]
        self._taken: list[int] = []
        self._left: defaultdict[int, deque[int]] = defaultdict(deque)
        for number, (examples, _, _) in enumerate(contents.bundles):
            self._left[examples].append(number)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def take(self, examples: int) -> tuple[memoryview, memoryview] | None:
        """The next bundle for so many examples, for Alice and for Bob; None when there is none left.

        It is never given again, even if it turns out to be damaged: :class:`sotto.mpc.StockError`.
        """
        if not self._left[examples]:
            return None
        number = self._left[examples].popleft()
        self._taken.append(number)
        for_alice, for_bob = self._sizes[number]
        with of_disk(StockError("cannot-read", "ask again: the stock cannot be read")):
            pair = memoryview(self._folder.read(str(number), for_alice + for_bob, exact=True))
        return pair[:for_alice], pair[for_alice:]

    def discard(self) -> None:
        """Delete what was taken: a query should not have to wait for it."""
        with of_disk(StockError("cannot-delete", "a used bundle cannot be deleted from the stock")):
            while self._taken:
                self._folder.remove(str(self._taken.pop()))

    def close(self) -> None:
        """Destroy what is left; harmless when closed already."""
        self._folder.close()

    def _require_sound(self, contents: _Contents) -> None:
        sound = len(contents.secret) == SECRET_BYTES and all(
            min(each) >= 0 and each[1] + each[2] <= MOST_FILE_BYTES for each in contents.bundles
        )
        if not sound:
            raise self._folder.damaged("session")


def _digest(terms: Terms, mode: Mode) -> str:
    """Names what a dealing is for: release of the messages, mode, terms."""
    digest = Hash(SHA256())
    digest.update(FORMAT + f"{VERSION} {mode} ".encode() + encode(terms))
    return digest.finalize().hex()
