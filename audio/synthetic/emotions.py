"""How an emotion sounds: pitch, pitch range, speed, loudness and voice quality, and how much that varies.

Directions follow the literature on acted emotion (Scherer, Psychological Bulletin 99(2), 1986; Murray & Arnott, JASA
93(2), 1993; Burkhardt & Sendlmeier, ISCA SpeechEmotion 2000). Sizes are this project's own, chosen so that neighbouring
emotions overlap: speakers differ in how much and by what means they express themselves, a clip may mix two emotions,
and everything varies from clip to clip. These are caricatures spoken by a machine, not data about people.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass

import numpy as np

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

SENTENCES = (
    "The parcel is waiting by the window",
    "Our neighbours are walking to the station",
    "She left the blue folder on the table",
    "They will open the garden after lunch",
)


@dataclass(frozen=True)
class Expression:
    """Differences from a voice's plain reading.

    Attributes
    ----------
    pitch
        steps of espeak-ng's scale from 0 to 99.
    range
        the same, for the liveliness of the melody.
    speed
        natural logarithm of the change in tempo.
    loudness
        dB.
    tilt
        dB per octave above and below 1 kHz; positive is tense and bright, negative soft and dark.
    breath
        dB of breath noise above the faint breath of a plain voice.
    tremor
        relative depth of a 4 to 8 Hz wobble of pitch and level.
    roughness
        relative depth of irregular amplitude from one glottal cycle to the next.
    rise
        chance that the sentence ends like a question.
    """

    pitch: float = 0.0
    range: float = 0.0
    speed: float = 0.0
    loudness: float = 0.0
    tilt: float = 0.0
    breath: float = 0.0
    tremor: float = 0.0
    roughness: float = 0.0
    rise: float = 0.0


EXPRESSIONS: dict[str, Expression] = {
    "neutral": Expression(),
    "calm": Expression(-5, -14, -0.06, -4.0, -1.6, 4.0, 0.000, 0.00, 0.0),
    "happy": Expression(14, 22, 0.16, 4.0, 1.4, 0.0, 0.000, 0.00, 0.0),
    "sad": Expression(-10, -26, -0.30, -8.0, -1.2, 9.0, 0.014, 0.04, 0.0),
    "angry": Expression(6, 14, 0.14, 7.0, 2.2, -2.0, 0.000, 0.24, 0.0),
    "fearful": Expression(22, -12, 0.20, -1.0, -0.4, 5.0, 0.026, 0.06, 0.0),
    "disgust": Expression(-14, 8, -0.20, 0.0, 0.8, 0.0, 0.000, 0.36, 0.0),
    "surprised": Expression(26, 38, -0.08, 2.0, 0.0, 5.0, 0.000, 0.00, 0.8),
}

_CLIP_SPREAD = Expression(3.0, 5.0, 0.04, 1.0, 0.3, 1.5, 0.002, 0.03, 0.0)
"""Standard deviation from one clip of a speaker to the next."""
_SPEAKER_SPREAD = Expression(3.0, 4.0, 0.04, 1.0, 0.3, 1.5, 0.001, 0.02, 0.0)
"""Standard deviation of a speaker's plain reading."""
_STYLE_SPREAD = 0.2
"""How unevenly speakers use the means they have: standard deviation of a factor on each of them."""
_MIXED_SHARE = 0.15
"""Share of the clips in which a second emotion shows."""


@dataclass(frozen=True)
class Temperament:
    """What one speaker brings to every clip: `plain`, an offset, and `style`, a factor for each mean of expression."""

    plain: np.ndarray
    style: np.ndarray

    @staticmethod
    def draw(generator: np.random.Generator) -> Temperament:
        """A speaker at random."""
        size = len(astuple(_SPEAKER_SPREAD))
        plain = generator.standard_normal(size) * np.array(astuple(_SPEAKER_SPREAD))
        liveliness = generator.uniform(0.8, 1.15)
        style = liveliness * np.clip(1 + _STYLE_SPREAD * generator.standard_normal(size), 0.2, 1.8)
        return Temperament(plain, style)


def act(emotion: str, temperament: Temperament, generator: np.random.Generator) -> Expression:
    """How this speaker expresses `emotion` this time."""
    target = np.array(astuple(EXPRESSIONS[emotion]))
    if generator.random() < _MIXED_SHARE:
        other = EMOTIONS[generator.integers(len(EMOTIONS))]
        share = generator.uniform(0.2, 0.5)
        target = (1 - share) * target + share * np.array(astuple(EXPRESSIONS[other]))
    strength = generator.uniform(0.75, 1.2)
    varied = generator.standard_normal(target.size) * np.array(astuple(_CLIP_SPREAD))
    values = temperament.plain + strength * temperament.style * target + varied
    pitch, range_, speed, loudness, tilt, breath, tremor, roughness, rise = (float(v) for v in values)
    return Expression(
        pitch, range_, speed, loudness, tilt, breath, max(tremor, 0.0), float(np.clip(roughness, 0, 0.6)), rise
    )
