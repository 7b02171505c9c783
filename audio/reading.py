"""Decoding: one clip in, mono float32 samples at the asked rate out, or one line that says what is wrong."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import soundfile
import soxr

from sotto.audio.clip import Clip
from sotto.audio.errors import BrokenClip

_SHORT_CHUNK = re.compile(r"^data : (\d+) \(should be (\d+)\)", re.MULTILINE)
_STREAMED = {0, 0x7FFFFFFF, 0xFFFFFFFF}
"""What programs that write wav to a pipe put where the length belongs: not a sign of damage."""


def read(clip: Clip, rate: int | None = 16000) -> np.ndarray:
    """Decode a clip, mix its channels down to one and resample it.

    Parameters
    ----------
    clip
        a file or samples in memory.
    rate
        samples per second of the result; None keeps the clip's own.

    Returns
    -------
    float32 (n,), n > 0, every sample finite; nominally in [-1, 1] (resampling may overshoot slightly).

    Raises
    ------
    BrokenClip
        the file is missing, empty, truncated, or cannot be decoded.
    """
    samples, own_rate = decode(clip)
    if rate is not None and rate != own_rate:
        samples = soxr.resample(samples, own_rate, rate, quality="HQ")
        if samples.size == 0:
            raise BrokenClip("too-short", f"{clip.source}: too short to resample to {rate} Hz")
    return np.ascontiguousarray(samples, dtype=np.float32)


def decode(clip: Clip) -> tuple[np.ndarray, int]:
    """The clip at its own rate: mono float32 (n,) and samples per second. Raises BrokenClip."""
    if clip.path is not None:
        samples, rate = _decode_file(clip.path)
    else:
        samples, rate = _from_memory(clip)
    if samples.size == 0:
        raise BrokenClip("no-samples", f"{clip.source}: has no samples")
    if samples.ndim == 2:
        samples = samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(samples).all():
        raise BrokenClip("not-finite", f"{clip.source}: has samples that are not finite numbers")
    return samples, rate


def _decode_file(path: Path) -> tuple[np.ndarray, int]:
    try:
        if path.stat().st_size == 0:
            raise BrokenClip("empty-file", f"{path}: is empty (0 bytes)")
        with soundfile.SoundFile(path) as file:
            _refuse_truncated(path, file.extra_info)
            announced = file.frames
            samples = file.read(dtype="float32")
            if len(samples) != announced:
                raise BrokenClip("truncated", f"{path}: is truncated: {len(samples)} of {announced} samples")
            return samples, int(file.samplerate)
    except FileNotFoundError:
        raise BrokenClip("no-such-file", f"{path}: no such file") from None
    except OSError as error:
        raise BrokenClip("cannot-read", f"{path}: cannot be read ({error.strerror or error})") from None
    except soundfile.SoundFileError as error:
        reason = str(getattr(error, "error_string", error)).strip().rstrip(".")
        raise BrokenClip("cannot-decode", f"{path}: cannot be decoded as audio ({reason})") from None


def _refuse_truncated(path: Path, log: str) -> None:
    """libsndfile shortens a cut wav file in silence and only says so in its log."""
    found = _SHORT_CHUNK.search(log)
    if found and int(found[1]) not in _STREAMED and int(found[1]) > int(found[2]):
        raise BrokenClip("truncated", f"{path}: is truncated: {found[2]} of {found[1]} bytes of sound")


def _from_memory(clip: Clip) -> tuple[np.ndarray, int]:
    samples, rate = clip.samples, clip.rate
    if samples is None or rate is None or samples.ndim not in (1, 2):
        raise BrokenClip("wrong-shape", f"{clip.source}: samples must be (n,) or (n, channels) with a rate")
    if samples.dtype == np.int16:
        return samples.astype(np.float32) / 32768, rate
    if not np.issubdtype(samples.dtype, np.floating):
        raise BrokenClip(
            "wrong-dtype", f"{clip.source}: samples must be float in [-1, 1] or int16, not {samples.dtype}"
        )
    return samples.astype(np.float32, copy=False), rate


def content_digest(clip: Clip) -> str:
    """BLAKE2b-128 of the clip's content (the bytes of its file, or its samples and rate), as hex.

    Raises
    ------
    BrokenClip
        the file cannot be read.
    """
    if clip.path is not None:
        try:
            with clip.path.open("rb") as file:
                return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        except OSError as error:
            raise BrokenClip("cannot-read", f"{clip.path}: cannot be read ({error.strerror or error})") from None
    samples = np.ascontiguousarray(clip.samples)
    digest = hashlib.blake2b(f"{samples.dtype.str} {samples.shape} {clip.rate}".encode(), digest_size=16)
    digest.update(samples.tobytes())
    return digest.hexdigest()
