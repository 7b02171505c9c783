"""The speakers: 24 English voices, each an accent with its own voice variant and vocal tract."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Voice:
    """One speaker.

    Attributes
    ----------
    name
        the speaker label.
    sex
        "female" or "male".
    accent
        espeak-ng's file for the accent of English.
    variant
        espeak-ng's voice variant: pitch, formants and source of this voice.
    tract
        formants are scaled by this, as by a shorter (> 1) or longer vocal tract.
    """

    name: str
    sex: str
    accent: str
    variant: str
    tract: float

    @property
    def espeak_name(self) -> str:
        return f"{self.accent}+{self.variant}"


_ACCENTS = (
    "gmw/en",
    "gmw/en-US",
    "gmw/en-GB-scotland",
    "gmw/en-GB-x-gbclan",
    "gmw/en-GB-x-gbcwmd",
    "gmw/en-GB-x-rp",
    "gmw/en-029",
    "gmw/en-US-nyc",
)
_WOMEN = ("f1", "f2", "f3", "f4", "f5", "Alicia", "Andrea", "Annie", "belinda", "linda", "steph", "anika")
_MEN = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "Michael", "antonio", "robert", "pedro")
_TRACTS = (1.00, 0.97, 1.03, 0.95, 1.05, 0.99, 1.01, 0.96, 1.04, 0.98, 1.02, 0.94)


def _voices() -> tuple[Voice, ...]:
    pairs = [(sex, variant) for both in zip(_WOMEN, _MEN, strict=True) for sex, variant in zip("fm", both, strict=True)]
    return tuple(
        Voice(
            name=f"voice{i + 1:02d}",
            sex="female" if sex == "f" else "male",
            # an odd step through the accents, shifted for the men, so that no accent belongs to one sex
            accent=_ACCENTS[(3 * (i // 2) + (5 if sex == "m" else 0)) % len(_ACCENTS)],
            variant=variant,
            tract=_TRACTS[i // 2],
        )
        for i, (sex, variant) in enumerate(pairs)
    )


VOICES: tuple[Voice, ...] = _voices()
"""Women and men in turn."""
