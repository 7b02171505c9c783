"""How fast the transforms of `keyed` are: against the papers' block loop, and against a plain copy of the same array.

Everything in one run, on one thread, in turns, the fastest of several runs each: what the work takes when nobody
disturbs it.  *copy* is ``Tensor.clone``.  *GB/s* counts the bytes of the array once.  The results of transform and loop
are compared before either time is reported.  *loop* is :mod:`sotto.bench.papers.niwa.sounds.block_loop` in NumPy on the
same batch, clip after clip (on a part of it, scaled up).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from timeit import repeat, timeit

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sotto.bench.papers.niwa.sounds.block_loop import encrypt_in_a_loop
from sotto.bench.request import Request
from sotto.bench.rows.row import Row
from sotto.keyed import KEY_TYPES, decrypt, encrypt, generate_key
from sotto.link import BadValue

DESCRIPTION = "keyed transforms: batched against the papers' block loop and a plain copy, in one run"

_WAVES, _SPECTROGRAMS = (16, 48_000), (64, 80, 192)
_SIZES = {
    "quick": {1: (3, 10, 128), 2: (3, 8)},
    "full": {1: (2, 3, 5, 10, 15, 20, 64, 128, 512), 2: (2, 3, 5, 8, 16, 32)},
}
_LOOPED = {"quick": 2, "full": 4}  # clips
_TURNS = {"quick": 15, "full": 40}


def run(request: Request) -> Iterator[Row]:
    """A row for each array, key type and block size."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for dimension, sizes in _SIZES[request.preset].items():
            for size in sizes:
                for kind in KEY_TYPES:
                    row = _row(kind, size, dimension, request)
                    metrics = row.metrics
                    request.say(
                        f"{kind}, {dimension}-D, M = {size}: {metrics['gb_per_s']:.3g} GB/s, a copy "
                        f"{metrics['copy_gb_per_s']:.3g}; the loop takes "
                        f"{metrics['loop_over_transform']:.0f} times as long"
                    )
                    yield row
    finally:
        torch.set_num_threads(threads)


def _row(kind: str, size: int, dimension: int, request: Request) -> Row:
    key = generate_key(kind, size, dimension, seed=request.seed)
    shape = _WAVES if dimension == 1 else _SPECTROGRAMS
    clips, *sides = shape
    x = _sound((clips, *(side // size * size for side in sides)))
    looped = min(clips, _LOOPED[request.preset])
    part = x[:looped].reshape(looped, -1, x.shape[-1]).numpy()
    matrix = key.matrix().astype(np.float32) if key.kind == "rom" else None

    def loop_over() -> npt.NDArray[np.floating]:
        return np.stack([encrypt_in_a_loop(clip, key, matrix) for clip in part])

    slow = loop_over()
    encrypted = encrypt(x, key)
    difference = float(np.abs(encrypted[:looped].numpy().reshape(slow.shape) - slow).max())
    if difference > (1e-5 if kind == "rom" else 0):
        raise BadValue("disagree", "batched transform and papers' loop disagree: report this with key type and size")
    works: list[Callable[[], object]] = [
        x.clone,
        lambda: encrypt(x, key),
        lambda: decrypt(encrypted, key),
        lambda: encrypt(x[:1], key),
        loop_over,
    ]
    turns = [[timeit(work, number=1) for work in works] for _ in range(_TURNS[request.preset])]
    copy, transform, back, one, looping = map(min, zip(*turns, strict=True))
    gigabytes = x.numel() * x.element_size() / 1e9
    generation = min(repeat(lambda: generate_key(kind, size, dimension), number=1, repeat=3))
    loop = looping * clips / looped
    return Row(
        paradigm="plaintext",
        mode=kind,
        seed=request.seed,
        n_queries=clips,
        parameters={"block_size": size, "dimension": dimension, "array": list(x.shape), "looped_clips": looped},
        metrics={
            "transform_ms": 1e3 * transform,
            "decryption_ms": 1e3 * back,
            "copy_ms": 1e3 * copy,
            "loop_ms": 1e3 * loop,
            "loop_over_transform": loop / transform,
            "transform_over_copy": transform / copy,
            "gb_per_s": gigabytes / transform,
            "copy_gb_per_s": gigabytes / copy,
            "loop_gb_per_s": gigabytes / loop,
            "one_clip_ms": 1e3 * one,
            "key_generation_ms": 1e3 * generation,
            "largest_difference": difference,
        },
    )


def _sound(shape: tuple[int, ...]) -> Tensor:
    """A chirp: every number another, and the same on every run."""
    count = int(np.prod(shape))
    return torch.arange(count, dtype=torch.float64).square().mul(1e-7).sin().float().reshape(shape)
