"""Sounds for tests and first steps: four kinds of event and voices, all computed, none recorded.

A horn is a steady chord, a bark a few short falling harmonic bursts, a shot decaying noise, a siren a tone that sweeps
up and down.  A voice is a pulse train through three moving resonances, with the rhythm of syllables.  They are easy to
tell apart; a score on them says that the code works and nothing about real sound.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from sotto.adversarial.sounds.segments import Events, Floats, Speech, prepare

CLASSES = ("bark", "horn", "shot", "siren")
NOTICE = "made-up sounds: scores on them show that the code works, not what it does on recordings"
_PIECES_EACH = 2
_BACKGROUND = 0.003


def made_up_events(rate: int, each: int, seed: int) -> Events:
    """``each`` segments of every class, each its own recording."""
    waveforms, event, recording = [], [], []
    for number, name in enumerate(CLASSES):
        for k in range(each):
            generator = np.random.default_rng([seed, 1, number, k])
            sound = _MAKERS[name](np.arange(rate) / rate, generator)
            waveforms.append(prepare((sound + _BACKGROUND * generator.standard_normal(rate)).astype(np.float32)))
            event.append(number)
            recording.append(f"{name}{k:03d}")
    return Events(np.stack(waveforms), np.array(event, np.int64), np.array(recording))


def made_up_speech(rate: int, speakers: int, seed: int) -> Speech:
    """``speakers`` voices, two segments each; every second one is called female and lies higher."""
    waveforms, speaker, gender, recording = [], [], [], []
    for number in range(speakers):
        own = np.random.default_rng([seed, 2, number])
        high = number % 2 == 0
        pitch, tract = own.uniform(170, 240) if high else own.uniform(85, 140), 1.15 if high else 1.0
        for k in range(_PIECES_EACH):
            generator = np.random.default_rng([seed, 3, number, k])
            waveforms.append(prepare(_voice(rate, pitch, tract, generator)))
            speaker.append(f"voice{number:03d}")
            gender.append("female" if high else "male")
            recording.append(f"voice{number:03d}-{k}")
    return Speech(np.stack(waveforms), np.array(speaker), np.array(gender), np.array(recording))


def _bark(time: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    sound = np.zeros_like(time)
    for start in np.sort(generator.uniform(0, 0.8, generator.integers(1, 4))):
        since = np.clip(time - start, 0, None)
        phase = 2 * np.pi * (generator.uniform(350, 700) * since - 300 * since**2)
        harmonics = sum(np.sin(k * phase) / k for k in range(1, 8))
        sound += harmonics * np.exp(-since / 0.05) * (time >= start)
    return sound


def _horn(time: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    low = generator.uniform(300, 480)
    inside = (time > generator.uniform(0, 0.3)) & (time < generator.uniform(0.7, 1.0))
    tones = [np.sin(2 * np.pi * f * k * time) / k for f in (low, 1.26 * low) for k in range(1, 9)]
    return np.asarray(np.sum(tones, axis=0) * inside)


def _shot(time: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    since = time - generator.uniform(0.05, 0.5)
    return generator.standard_normal(time.size) * np.exp(-since / generator.uniform(0.03, 0.15)) * (since >= 0)


def _siren(time: npt.NDArray[np.float64], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    speed, middle, width = generator.uniform(0.7, 3), generator.uniform(800, 1200), generator.uniform(200, 400)
    phase = 2 * np.pi * middle * time + width / speed * np.sin(2 * np.pi * speed * time + generator.uniform(0, 6))
    return np.asarray(np.sin(phase) + 0.3 * np.sin(2 * phase))


_MAKERS = {"bark": _bark, "horn": _horn, "shot": _shot, "siren": _siren}


def _voice(rate: int, pitch: float, tract: float, generator: np.random.Generator) -> Floats:
    time = np.arange(rate) / rate
    melody = pitch * (1 + 0.1 * np.sin(2 * np.pi * generator.uniform(1, 3) * time + generator.uniform(0, 6)))
    cycles = np.cumsum(melody) / rate
    pulses = np.diff(np.floor(cycles), prepend=0.0) + 0.03 * generator.standard_normal(rate)
    sound = np.zeros(rate)
    edges = np.linspace(0, rate, generator.integers(4, 7) + 1).astype(int)
    for a, b in pairwise(edges.tolist()):
        piece = pulses[a:b]
        for formant in (generator.uniform(300, 800), generator.uniform(900, 2200), generator.uniform(2400, 3200)):
            piece = _resonate(piece, tract * formant, 90.0, rate)
        sound[a:b] = piece * np.hanning(b - a) * generator.uniform(0.3, 1.0)
    return sound.astype(np.float32)


def _resonate(sound: npt.NDArray[np.float64], frequency: float, bandwidth: float, rate: int) -> npt.NDArray[np.float64]:
    from scipy.signal import lfilter  # which takes a while, and events do without it

    radius = np.exp(-np.pi * bandwidth / rate)
    feedback = [1.0, -2 * radius * np.cos(2 * np.pi * frequency / rate), radius**2]
    return np.asarray(lfilter([sum(feedback)], feedback, sound))
