"""espeak-ng through ctypes: one voice speaks a list of texts, in a process of its own.

The library keeps state between utterances (phases of its flutter and noise) that nothing in its interface resets, so
what it says depends on what it said before, even after espeak_Terminate; and it seeds its random numbers with the time.
Synthesis is therefore repeatable only from a fresh process, in a fixed order, with seeds set after it started. `speak`
does that; this file is also the program that runs there, which is why it imports nothing of this package. The
library is not thread safe and is initialised once per process.
"""

from __future__ import annotations

import ctypes
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

RATE = 22050
"""Samples per second of every voice."""

_SYNCHRONOUS, _DONT_EXIT, _UTF8, _BY_CHARACTER = 2, 0x8000, 1, 1
_SPEED, _PITCH, _RANGE = 1, 3, 4
_LONGEST_PATH = 150
"""espeak-ng cuts the path of its data folder at 160 characters."""
_TIMEOUT_SECONDS = 300.0

_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


class EspeakError(RuntimeError):
    """espeak-ng is not installed, does not start, or does not know a voice. One line."""


@dataclass(frozen=True)
class Utterance:
    """A text and how fast (words a minute), how high (0 to 99) and how lively (pitch range, 0 to 99) it is spoken."""

    text: str
    speed: int
    pitch: int
    range: int


def speak(voice: str, utterances: Sequence[Utterance]) -> list[np.ndarray]:
    """Let `voice` (such as "gmw/en+f3") speak in a fresh process: int16 (n,) at `RATE` for each utterance, n > 0.

    The same call gives the same samples again, bit by bit, with the same espeak-ng on the same kind of machine.

    Raises
    ------
    EspeakError
        the library cannot be loaded, the voice is unknown, or nothing was spoken.
    """
    order = json.dumps({"voice": voice, "utterances": [asdict(u) for u in utterances]}).encode()
    command = [sys.executable, "-P", str(Path(__file__).resolve())]
    try:
        done = subprocess.run(command, input=order, capture_output=True, timeout=_TIMEOUT_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EspeakError(f"espeak-ng: the process that speaks did not finish ({type(error).__name__})") from None
    if done.returncode != 0:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise EspeakError(f"espeak-ng: {lines[-1]}")
    header, _, sound = done.stdout.partition(b"\n")
    lengths = json.loads(header)
    samples = np.frombuffer(sound, dtype="<i2")
    if len(lengths) != len(utterances) or sum(lengths) != samples.size or min(lengths, default=1) <= 0:
        raise EspeakError(f"espeak-ng: {voice} did not speak every text")
    return [part.astype(np.int16) for part in np.split(samples, np.cumsum(lengths)[:-1])]


class _Voice:
    """The library, loaded and initialised in this process. Make only one."""

    def __init__(self, voice: str, data: Path) -> None:
        import espeakng_loader

        _, _, variant = voice.partition("+")
        if variant and not (data / "voices" / "!v" / variant).is_file():  # the library takes the plain voice in silence
            raise EspeakError(f"has no voice variant {variant}")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        if self._library.espeak_Initialize(_SYNCHRONOUS, 0, str(data).encode(), _DONT_EXIT) != RATE:
            raise EspeakError(f"does not start with its data in {data}")
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(1))
        _c_library().srand(1)
        self._chunks: list[np.ndarray] = []
        self._callback = _Callback(self._receive)  # kept here: the library calls it for as long as it speaks
        self._library.espeak_SetSynthCallback(self._callback)
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise EspeakError(f"has no voice {voice}")

    def _receive(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def say(self, utterance: Utterance) -> np.ndarray:
        self._chunks.clear()
        settings = ((_SPEED, utterance.speed), (_PITCH, utterance.pitch), (_RANGE, utterance.range))
        for parameter, value in settings:
            if self._library.espeak_SetParameter(parameter, value, 0) != 0:
                raise EspeakError(f"refuses the setting {parameter}={value}")
        text = utterance.text.encode()
        spoken = self._library.espeak_Synth(text, len(text) + 1, 0, _BY_CHARACTER, 0, _UTF8, None, None)
        if spoken != 0 or self._library.espeak_Synchronize() != 0 or not self._chunks:
            raise EspeakError(f"cannot speak {utterance.text!r}")
        return np.concatenate(self._chunks)


def _c_library() -> Any:
    """The C library, from which parts of espeak-ng still draw random numbers."""
    return ctypes.CDLL(None) if sys.platform != "win32" else ctypes.CDLL("msvcrt")


def _main() -> None:
    """Read the order from standard input, write a line of lengths and the samples to standard output."""
    import espeakng_loader

    order = json.load(sys.stdin.buffer)
    with tempfile.TemporaryDirectory() as short:
        data = Path(espeakng_loader.get_data_path())
        if len(str(data)) > _LONGEST_PATH:
            link = Path(short) / "espeak-ng-data"
            link.symlink_to(data, target_is_directory=True)
            data = link
        voice = _Voice(order["voice"], data)
        spoken = [voice.say(Utterance(**utterance)) for utterance in order["utterances"]]
    sys.stdout.buffer.write(json.dumps([len(samples) for samples in spoken]).encode() + b"\n")
    for samples in spoken:
        sys.stdout.buffer.write(samples.astype("<i2").tobytes())


if __name__ == "__main__":
    try:
        _main()
    except (EspeakError, OSError, ImportError) as error:
        sys.exit(str(error).splitlines()[0])
