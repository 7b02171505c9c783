"""Linear layers as products of polynomials: where inputs, weights and results stand among the coefficients.

Every layer is a convolution over two axes here: a linear layer has its inputs as channels and a kernel of one, a batch
norm a kernel of one for each channel by itself; over three axes each place along the first is an example, and the
slices that its kernel meets are channels.  A polynomial of the input holds g channels of a *piece*, which is some
examples stacked, or a tile of one that is too large.  With A places in a piece and O = the kernel's offset from its
first to its last place, the coefficient

    input      c · A + place                             channel c of the group, its place in the piece
    weight     m · g · A + (g - 1 - c) · A + O - tap     output m of M, channel c, the kernel's place
    result     m · g · A + (g - 1) · A + O + place       output m at the place where its window starts

so that one product sums over channels and taps for M outputs; nothing else falls on a result's coefficient, and what
wraps around at x^N = -1 falls below the first one, as long as M · g · A <= N.  Source: Huang, Lu, Hong and Ding,
"Cheetah: Lean and fast secure two-party deep neural network inference" (USENIX Security 2022), section 4; no rotations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from sotto.mpc.errors import PlanError
from sotto.mpc.graph import layers
from sotto.mpc.graph.program import Product
from sotto.mpc.sharing.ring import Words

Indices = npt.NDArray[np.int64]

_UP, _DOWN = 2, 1  # a ciphertext of the input against one of results, in bytes


@dataclass(frozen=True)
class _Convolution:
    """A product as a convolution over two axes."""

    channels: int
    outputs: int
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: tuple[int, int]
    size: tuple[int, int]  # of the input, without padding
    slices: int = 1  # examples for each one

    @classmethod
    def of(cls, step: Product) -> _Convolution:
        one, none = (1, 1), (0, 0)
        match step.layer:
            case layers.Convolution() as layer if len(layer.kernel) == 3:
                depth, rows, columns = layer.kernel
                return cls(
                    layer.in_channels * depth, layer.out_channels, layer.groups, (rows, columns),
                    _two(layer.stride[1:]),
                    _two(layer.dilation[1:]), _two(layer.padding[1:]), _two(step.input_shape[2:]), step.shape[1],
                )  # fmt: skip
            case layers.Convolution() as layer:
                lead = (1,) * (2 - len(layer.kernel))
                kernel, stride, dilation = (
                    _two((*lead, *each)) for each in (layer.kernel, layer.stride, layer.dilation)
                )
                padding = _two((*(0 for _ in lead), *layer.padding))
                size = _two((*lead, *step.input_shape[1:]))
                return cls(layer.in_channels, layer.out_channels, layer.groups, kernel, stride, dilation, padding, size)
            case layers.Linear() as layer:
                rows = math.prod(step.input_shape[:-1])
                return cls(layer.inputs, layer.outputs, 1, one, one, one, none, (1, rows))
            case layers.ChannelAffine() as layer:
                places = math.prod(step.input_shape[1:])
                return cls(layer.channels, layer.channels, layer.channels, one, one, one, none, (1, places))
            case layers.Scale():
                channels = math.prod(step.input_shape)
                return cls(channels, channels, channels, one, one, one, none, one)
        raise PlanError("no-packing", f"{step.name}: mode 'two-party' has no packing for it")

    @cached_property
    def span(self) -> tuple[int, int]:
        """Places from the first to the last of a kernel, both included."""
        return _two(d * (k - 1) + 1 for d, k in zip(self.dilation, self.kernel, strict=True))

    @cached_property
    def result(self) -> tuple[int, int]:
        """Size of the output."""
        axes = zip(self.size, self.padding, self.span, self.stride, strict=True)
        return _two((size + 2 * p - span) // s + 1 for size, p, span, s in axes)


class Packing:
    """How one product of ``examples`` examples is laid out in polynomials of ``degree`` coefficients.

    Raises :class:`PlanError` for a kernel that is larger than a polynomial.
    """

    def __init__(self, step: Product, examples: int, degree: int) -> None:
        self._step = step
        self._degree = degree
        self._form = _Convolution.of(step)
        self._examples = examples * self._form.slices
        self._tile, self._piece = self._tiling()
        self._stacked, self._channels, self._outputs = self._cheapest()

    def __repr__(self) -> str:
        return f"<Packing of {self._step.name}: {self.inputs} up, {self.results} down>"

    @cached_property
    def pieces(self) -> int:
        """Pieces, each with its own polynomials."""
        tiles = math.prod(-(-r // t) for r, t in zip(self._form.result, self._tile, strict=True))
        return tiles * -(-self._examples // self._stacked)

    @property
    def input_groups(self) -> int:
        """Polynomials of the input of one piece."""
        return -(-self._form.channels // self._channels)

    @property
    def output_groups(self) -> int:
        """Polynomials of results of one piece."""
        return -(-self._form.outputs // self._outputs)

    @property
    def inputs(self) -> int:
        """Ciphertexts from Alice."""
        return self.pieces * self.input_groups

    @property
    def results(self) -> int:
        """Ciphertexts from Bob."""
        return self.pieces * self.output_groups

    def input_polynomials(self, x: Words) -> Words:
        """x (n, *input_shape) as polynomials (pieces, input groups, degree)."""
        form, (height, width) = self._form, self._piece
        tiles = self._tiles()
        rows, columns = (
            (count - 1) * tile * stride + side
            for count, tile, stride, side in zip(tiles, self._tile, form.stride, self._piece, strict=True)
        )
        batches = -(-self._examples // self._stacked)
        padded = np.zeros((batches * self._stacked, self.input_groups * self._channels, rows, columns), np.uint64)
        image = self._as_image(x)
        top, left = form.padding
        kept = image[:, :, : rows - top, : columns - left]  # a stride may leave the last places out
        padded[: len(image), : form.channels, top : top + kept.shape[2], left : left + kept.shape[3]] = kept
        out = np.zeros((self.pieces, self.input_groups, self._degree), np.uint64)
        used = self._channels * self._places
        piece = 0
        for batch in range(batches):
            some = padded[batch * self._stacked : (batch + 1) * self._stacked]
            for i in range(tiles[0]):
                for j in range(tiles[1]):
                    y, x0 = i * self._tile[0] * form.stride[0], j * self._tile[1] * form.stride[1]
                    taken = some[:, :, y : y + height, x0 : x0 + width].transpose(1, 0, 2, 3)
                    out[piece, :, :used] = taken.reshape(self.input_groups, used)
                    piece += 1
        return out

    def weight_polynomial(self, weight: Words, inputs: int, outputs: int) -> Words:
        """The polynomial (degree,) that takes input group ``inputs`` to output group ``outputs``."""
        form = self._form
        dense = np.zeros((self._outputs, self._channels, *form.kernel), np.uint64)
        rows = weight.reshape(form.outputs, form.channels // form.groups, *form.kernel)
        each_out, each_in = form.outputs // form.groups, form.channels // form.groups
        first_in = inputs * self._channels
        for slot in range(self._outputs):
            output = outputs * self._outputs + slot
            if output < form.outputs:
                start = output // each_out * each_in  # the first channel that this output reads
                low, high = max(start, first_in), min(start + each_in, first_in + self._channels)
                if low < high:
                    dense[slot, low - first_in : high - first_in] = rows[output, low - start : high - start]
        out = np.zeros(self._degree, np.uint64)
        out[self._weight_places] = dense
        return out

    def result_places(self, outputs: int) -> Indices:
        """Coefficients of the results in output group ``outputs``, in the order of (output, example, row, column)."""
        form = self._form
        count = min(self._outputs, form.outputs - outputs * self._outputs)
        height, width = self._piece
        slots = np.arange(count) * self._channels * self._places + (self._channels - 1) * self._places + self._offset
        examples = np.arange(self._stacked) * height * width
        rows = np.arange(self._tile[0]) * form.stride[0] * width
        columns = np.arange(self._tile[1]) * form.stride[1]
        places = slots[:, None, None, None] + examples[:, None, None] + rows[:, None] + columns
        return places.reshape(-1)

    def assemble(self, results: list[list[Words]]) -> Words:
        """The output (n, *shape) from the results of each piece and output group, in the order of their places."""
        form, tiles = self._form, self._tiles()
        batches = -(-self._examples // self._stacked)
        whole = _two(count * tile for count, tile in zip(tiles, self._tile, strict=True))
        full = np.empty((batches * self._stacked, form.outputs, *whole), np.uint64)
        for piece, groups in enumerate(results):
            batch, tile = divmod(piece, tiles[0] * tiles[1])
            i, j = divmod(tile, tiles[1])
            values = np.concatenate(groups).reshape(form.outputs, self._stacked, *self._tile)
            into = full[batch * self._stacked : (batch + 1) * self._stacked]
            into[:, :, i * self._tile[0] : (i + 1) * self._tile[0], j * self._tile[1] : (j + 1) * self._tile[1]] = (
                values.transpose(1, 0, 2, 3)
            )
        image = full[: self._examples, :, : form.result[0], : form.result[1]]
        if isinstance(self._step.layer, layers.Linear):
            image = image.transpose(0, 2, 3, 1)
        if form.slices > 1:
            image = image.reshape(-1, form.slices, form.outputs, *form.result).swapaxes(1, 2)
        return np.ascontiguousarray(image).reshape(-1, *self._step.shape)

    @property
    def _places(self) -> int:
        return self._stacked * self._piece[0] * self._piece[1]

    @property
    def _offset(self) -> int:
        """O: from the first to the last place of a kernel, in coefficients."""
        return (self._form.span[0] - 1) * self._piece[1] + self._form.span[1] - 1

    @cached_property
    def _weight_places(self) -> Indices:
        form = self._form
        slots = np.arange(self._outputs) * self._channels * self._places
        channels = (self._channels - 1 - np.arange(self._channels)) * self._places
        rows = np.arange(form.kernel[0]) * form.dilation[0] * self._piece[1]
        columns = np.arange(form.kernel[1]) * form.dilation[1]
        places = slots[:, None, None, None] + channels[:, None, None] - rows[:, None] - columns
        return places + self._offset

    def _tiles(self) -> tuple[int, int]:
        return _two(-(-r // t) for r, t in zip(self._form.result, self._tile, strict=True))

    def _as_image(self, x: Words) -> Words:
        """(n, channels, rows, columns)."""
        form = self._form
        if isinstance(self._step.layer, layers.Linear):
            return x.reshape(len(x), 1, form.size[1], form.channels).transpose(0, 3, 1, 2)
        if isinstance(self._step.layer, layers.Convolution) and len(self._step.layer.kernel) == 3:
            return _slices(self._step.layer, x)
        return x.reshape(len(x), form.channels, *form.size)

    def _tiling(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """Results of a tile along both axes, and the places its windows cover."""
        form, tile = self._form, list(self._form.result)

        def covered() -> tuple[int, int]:
            return _two((t - 1) * s + span for t, s, span in zip(tile, form.stride, form.span, strict=True))

        while math.prod(covered()) > self._degree:
            if tile == [1, 1]:
                raise PlanError(
                    "kernel-too-large", f"{self._step.name}: the kernel covers more than {self._degree} places"
                )
            longer = 0 if tile[0] >= tile[1] else 1
            tile[longer] = -(-tile[longer] // 2)
        return _two(tile), covered()

    def _cheapest(self) -> tuple[int, int, int]:
        """Examples stacked in a piece, channels of an input polynomial, outputs of a polynomial of results."""
        form, area = self._form, math.prod(self._piece)
        best = (1 << 62, 1, 1, 1)
        stacked = 1
        while True:
            places = stacked * area
            least = -(-form.channels // (self._degree // places))
            # More inputs than that cannot save as many results.
            for ups in range(least, min(form.channels, least + form.outputs * _DOWN // _UP) + 1):
                channels = -(-form.channels // ups)
                outputs = min(form.outputs, self._degree // (channels * places))
                downs = -(-form.outputs // outputs)
                cost = -(-self._examples // stacked) * (_UP * -(-form.channels // channels) + _DOWN * downs)
                if cost < best[0]:
                    best = cost, stacked, channels, -(-form.outputs // downs)
            stacked = min(2 * stacked, self._examples)
            if stacked * area > self._degree or best[1] == self._examples or stacked * area == places:
                return best[1:]


def _two(numbers: object) -> tuple[int, int]:
    first, second = (int(number) for number in numbers)  # type: ignore[attr-defined]
    return first, second


def _slices(layer: layers.Convolution, x: Words) -> Words:
    """(n, C, D, …) to (n · D', C · kernel, …): what the kernel meets along the first axis, at each of its places."""
    (kernel, *_), (stride, *_), (dilation, *_), (padding, *_) = (
        layer.kernel, layer.stride, layer.dilation, layer.padding
    )  # fmt: skip
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (0, 0), (0, 0)))
    count = (padded.shape[2] - dilation * (kernel - 1) - 1) // stride + 1
    places = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation
    met = padded[:, :, places].transpose(0, 2, 1, 3, 4, 5)  # (n, D', C, kernel, rows, columns)
    return met.reshape(len(x) * count, -1, *x.shape[3:])
