"""What the campaign knows about one decoder: who feeds it, valid inputs, how it is called, which errors it declares."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sotto.link import FrameError, decode


@dataclass(frozen=True)
class Target:
    """A decoder made ready: valid inputs, and the call that reads one of any kind.

    ``declared``: the errors that a malformed input may raise.  ``messages``: the schemas of what it reads, where those
    are structs.  Everything expensive (keys, contexts, models) is made before, so that what a call takes is the
    decoder's own.
    """

    seeds: Sequence[bytes]
    decode: Callable[[bytes], object]
    declared: tuple[type[Exception], ...] = (FrameError,)
    messages: tuple[type[Any], ...] = ()


@dataclass(frozen=True)
class Decoder:
    """``fed_by``: whose bytes these are.  ``make`` takes seconds at most and is called in the decoder's process.

    ``growth_mb``: how much memory reading inputs of this size may take beyond what stood when it was made ready.
    """

    fed_by: str
    make: Callable[[], Target]
    growth_mb: int = 64


Decoders = Mapping[str, Decoder]


def one_of(data: bytes, kinds: Sequence[type[Any]]) -> Any:
    """The message in ``data``, of the first of ``kinds`` that takes it.  Raises the last one's FrameError."""
    refused = FrameError("refused", "")
    for kind in kinds:
        try:
            return decode(data, kind)
        except FrameError as error:
            refused = error
    raise refused


def file_target(
    save: Callable[[Path], object], load: Callable[[Path], object], *declared: type[Exception]
) -> Target:  # fmt: skip
    """A decoder of files, given what stands in one; ``save`` writes a valid one."""
    folder = Path(tempfile.mkdtemp(prefix="sotto-fuzz-"))
    valid, bent = folder / "valid", folder / "bent"
    save(valid)
    bent.touch(mode=0o600)

    def read(data: bytes) -> None:
        bent.write_bytes(data)
        load(bent)

    return Target([valid.read_bytes()], read, declared)
