"""From a simulation's transcript to what can be shown of it: Bob's bytes decoded, drawn, and made audible."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.audio import Clip, read
from sotto.bench.experiment import Experiment
from sotto.bench.one_clip.simulation import Simulation, exposed, summary
from sotto.bench.parties.control import Seen
from sotto.bench.workbench import Workbench
from sotto.link import FrameError
from sotto.link.messages import Array
from sotto.report.pictures import bytes_png, matrix_png, outline, wav
from sotto.report.scene import Line, Panel, Scene, Shown

_RATE = 16000  # of every waveform that a paradigm works on
_AUDIBLE = 4000  # samples; fewer are features
_SMALL = 64  # bytes: an announcement, no data
_MOST_SHOWN = 3
_FAIR = 1 << 14  # bytes from which the entropy of a sample says something


def clip_shown(clip: Clip) -> list[Shown]:
    """The clip as Alice has it: sound and waveform, then its spectrogram.  Raises :class:`sotto.audio.BrokenClip`."""
    from sotto.audio.features import LogMel

    samples = read(clip, _RATE)
    heard = Shown(
        "The clip", f"{samples.size / _RATE:.2f} s at {_RATE / 1000:g} kHz, one channel", None, wav(samples, _RATE),
        outline(samples),
    )  # fmt: skip
    frames = max(8, min(512, samples.size // 205))
    mel = LogMel(mels=64, frames=frames, n_fft=1024, hop=205, fmin=20.0).compute(samples)
    seen = Shown("Its spectrogram", "64 mel bands, low ones at the bottom", matrix_png(mel))
    return [heard, seen]


def empty_scene(bench: Workbench, clip: Clip) -> Scene:
    """A scene about ``clip`` without any panel yet."""
    return Scene(
        corpus=bench.corpus.name, clip=clip.id, truth=clip.label(bench.label), alice=clip_shown(clip), panels=[]
    )


def asked_clip(experiment: Experiment, clip: Clip) -> Clip:
    """The clip to ask about: ``clip``, or the one of an experiment that has a task of its own."""
    return experiment.task.clip if experiment.task else clip


def panel(
    experiment: Experiment, simulation: Simulation, bench: Workbench, clip: Clip, *, attacked: bool = False
) -> Panel:
    """What Alice's and Bob's processes held in ``simulation``, which asked about ``clip``.

    ``attacked``: try to recover the speech from what Bob received, where the paradigm has an attacker who does.
    """
    classes = experiment.task.classes if experiment.task else bench.classes
    own = clip_shown(clip) if experiment.task else []
    query, bob = simulation.query[0], simulation.reports["bob"].seen
    if experiment.task:
        classes = experiment.task.classes
    return Panel(
        paradigm=experiment.cell.paradigm,
        mode=experiment.cell.mode,
        model=experiment.cell.model,
        clip=clip.id,
        answer=classes[simulation.label],
        plain_answer=classes[simulation.plain_label],
        leaks=experiment.security.leaks,
        exposed=exposed(simulation.query, bob),
        alice=[*own, _array("The values that the model is asked about", query, None)],
        bob=received(bob, query),
        attacker=reconstructed(experiment, bob, query) if attacked else [],
        messages=[Line(way, peer, name, times, size) for way, peer, name, times, size, _ in summary(bob)],
    )


def received(seen: list[Seen], query: npt.NDArray[np.float32]) -> list[Shown]:
    """What Bob received of the query: its first message with data, decoded where it is numbers, else as bytes."""
    message = _query_message(seen)
    if message is None:
        return []
    title = f"Bob received “{message.name}”"
    arrays = list(_arrays(_decoded(message.payload)))
    if arrays:
        return [_array(title, array, query) for array in arrays[:_MOST_SHOWN]]
    blobs = [blob for blob in _blobs(_decoded(message.payload)) if len(blob) > _SMALL] or [message.payload]
    return [_bytes(title, blob, len(blobs)) for blob in blobs[:1]]


def reconstructed(experiment: Experiment, seen: list[Seen], query: npt.NDArray[np.float32]) -> list[Shown]:
    """What the paradigm's attacker makes of the numbers that Bob received; nothing where there is no such attacker."""
    message = _query_message(seen)
    if message is None or experiment.reconstruct is None:
        return []
    found = [experiment.reconstruct(array[None]) for array in _arrays(_decoded(message.payload))]
    title = "An attacker without the key made of it"
    return [
        Shown(title, "nothing: the attack gave up") if speech is None else _array(title, speech[0], query, attack=True)
        for speech in found
    ]


def _query_message(seen: list[Seen]) -> Seen | None:
    """The last message called ``….query``, or what follows it from Alice where that only announces."""
    heard = [each for each in seen if each.direction == "received" and each.peer == "alice"]
    places = [place for place, each in enumerate(heard) if each.name.endswith(".query")]
    if not places:
        return max(heard, key=lambda each: each.size, default=None)
    return next((each for each in heard[places[-1] :] if each.size > _SMALL), None)


def _decoded(payload: bytes) -> Any:
    """msgpack as plain values; None for bytes that are none."""
    try:
        return msgspec.msgpack.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _arrays(value: Any) -> Iterator[npt.NDArray[Any]]:
    """Every array of numbers in a decoded message, without the axis of the batch."""
    if isinstance(value, dict):
        if value.keys() == {"dtype", "shape", "data"}:
            try:
                array = msgspec.convert(value, Array)
                numbers = array.numpy(dtype=array.dtype, shape=tuple(array.shape))
            except (msgspec.ValidationError, FrameError, TypeError):
                return
            yield numbers[0] if numbers.ndim > 1 and len(numbers) == 1 else numbers
            return
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _arrays(inner)


def _blobs(value: Any) -> Iterator[bytes]:
    """Every byte string in a decoded message."""
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, (dict, list)):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _blobs(inner)


def _array(
    title: str, values: npt.NDArray[Any], alice: npt.NDArray[np.float32] | None, *, attack: bool = False
) -> Shown:
    """Numbers: a long vector as sound, a wide matrix as a picture, others as the first few of them."""
    shape = " × ".join(map(str, values.shape))
    text = f"{shape} numbers ({values.dtype.name})"
    if not np.issubdtype(values.dtype, np.floating) or not values.size or not np.isfinite(values).all():
        return Shown(title, f"{text}: {', '.join(map(str, values.ravel()[:6]))}, …")
    if alice is not None and alice.size == values.size:
        text += f"; correlation with Alice's own {_correlation(values, alice):.2f}"
        text += "" if attack else " (no measure of what an attack gets)"
    plane = values.squeeze()
    if plane.ndim == 1 and plane.size >= _AUDIBLE:
        return Shown(title, text, None, wav(plane, _RATE), outline(plane))
    if plane.ndim == 2 and min(plane.shape) >= 8:
        return Shown(title, text, matrix_png(plane))
    if plane.ndim == 1 and plane.size >= 8:
        return Shown(title, f"{text}: {', '.join(f'{v:.3g}' for v in plane[:6])}, …", None, None, outline(plane))
    return Shown(title, f"{text}: {', '.join(f'{v:.3g}' for v in values.ravel()[:6])}")


def _bytes(title: str, data: bytes, of: int) -> Shown:
    words = " ".join(data[place : place + 8].hex() for place in range(0, min(len(data), 24), 8))
    text = f"{len(data):,} bytes" + (f", the first of {of} such" if of > 1 else "") + f", beginning {words} …"
    if len(data) >= _FAIR:
        text += f"; entropy {_entropy(data):.3f} of 8 bits a byte"
    return Shown(title, text, bytes_png(data))


def _entropy(data: bytes) -> float:
    """Of the frequencies of the byte values, in bits."""
    counts = np.bincount(np.frombuffer(data, np.uint8), minlength=256)
    shares = counts[counts > 0] / len(data)
    return max(0.0, -float((shares * np.log2(shares)).sum()))


def _correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    x, y = (np.asarray(values, np.float64).ravel() - float(np.mean(values)) for values in (a, b))
    scale = math.sqrt(float(x @ x) * float(y @ y))
    return abs(float(x @ y)) / scale if scale else 0.0
