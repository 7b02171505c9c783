"""Numbers as something to look at or listen to: PNG of a matrix or of raw bytes, WAV, the outline of a waveform."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt

_BYTES_WIDE, _BYTES_HIGH = 192, 64
_OUTLINE = 240  # columns of a drawn waveform
_LOUDEST = 0.9


def matrix_png(values: npt.NDArray[np.floating]) -> bytes:
    """A matrix (rows, columns) in perceptually even colours, its first row at the bottom, as PNG."""
    from matplotlib.image import imsave

    low, high = np.percentile(values, (1, 99))
    buffer = io.BytesIO()
    imsave(buffer, values, vmin=low, vmax=max(high, low + 1e-9), cmap="magma", origin="lower", format="png")
    return buffer.getvalue()


def bytes_png(data: bytes) -> bytes:
    """The first bytes of a message, one grey pixel each in lines of 192, as PNG; at most 64 lines."""
    from matplotlib.image import imsave

    wide = min(_BYTES_WIDE, max(8, len(data)))
    rows = min(_BYTES_HIGH, max(1, len(data) // wide))
    pixels = np.zeros(rows * wide, np.uint8)
    shown = np.frombuffer(data, np.uint8)[: rows * wide]
    pixels[: len(shown)] = shown
    buffer = io.BytesIO()
    imsave(buffer, pixels.reshape(rows, wide), vmin=0, vmax=255, cmap="gray", format="png")
    return buffer.getvalue()


def wav(samples: npt.NDArray[np.floating], rate: int) -> bytes:
    """Samples (n,) as 16-bit WAV whose loudest sample is at 0.9, so that nobody's ears are hurt and nothing clips."""
    import soundfile

    peak = float(np.abs(samples).max()) or 1.0
    buffer = io.BytesIO()
    soundfile.write(buffer, samples * (_LOUDEST / peak), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def outline(samples: npt.NDArray[np.floating]) -> list[tuple[float, float]]:
    """Lowest and highest sample of each of 240 stretches, in shares of the loudest: a waveform as it is drawn.

    Fewer samples than that are drawn from zero, each by itself.
    """
    peak = float(np.abs(samples).max()) or 1.0
    if len(samples) <= _OUTLINE:
        return [(round(min(0.0, value), 3), round(max(0.0, value), 3)) for value in (samples / peak).tolist()]
    stretches = np.array_split(samples / peak, _OUTLINE)
    return [(round(float(part.min()), 3), round(float(part.max()), 3)) for part in stretches]
