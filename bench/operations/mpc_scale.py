"""How large a network can `mpc` answer with on this machine, and what does size cost?

Networks of :mod:`sotto.bench.model_zoo.large` with PyTorch's initial weights are asked about random features by three
processes, sizes in rising order, each size in processes of its own, so that a party's peak is the point's.  Scores are
compared with PyTorch's.  A size that a party refuses, because it would not fit, gets a row with the reason.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
import numpy as np
from torch import nn

from sotto import mpc
from sotto.bench.model_zoo.large import COEFFICIENTS, FRAMES, Encoder, WideCnn
from sotto.bench.parties.parties import Parties, PartyError
from sotto.bench.request import Request
from sotto.bench.rows import costs
from sotto.bench.rows.row import Row
from sotto.models.learning.seeding import seeded
from sotto.models.learning.training import predict
from sotto.mpc.experiment import SECURITY, parts_of

DESCRIPTION = "mpc's time, bytes and memory for up to 10 M weights and 12 transformer layers (full: 5 queries)"

_LIMIT = 8.0
_QUERIES = {"quick": 1, "full": 5}
_TIMEOUT = 1500.0


@dataclass(frozen=True)
class Size:
    """A network of a ``family`` at one ``size``, and the modes in which it is asked."""

    family: str
    size: int
    make: Callable[[], nn.Module]
    input_shape: tuple[int, ...]
    modes: tuple[mpc.Mode, ...]

    def build(self) -> nn.Module:
        """The network in evaluation mode, weights from a fixed seed."""
        with seeded(0):
            return self.make().eval()


_BOTH: tuple[mpc.Mode, ...] = ("semi-honest", "malicious")

SIZES = (
    *(Size("cnn", width, partial(WideCnn, width), (COEFFICIENTS, 188), _BOTH) for width in (72, 144, 288, 576)),
    *(Size("transformer", depth, partial(Encoder, depth), (FRAMES, COEFFICIENTS), _BOTH) for depth in (1, 3, 6, 12)),
)


def run(request: Request) -> Iterator[Row]:
    """A row for each size and mode."""
    for size in SIZES:
        module = size.build()
        started = time.perf_counter()
        lowered = mpc.LoweredModel.of(module, size.input_shape, input_limit=_LIMIT)
        bits = lowered.ranges
        lowering = (time.perf_counter() - started) * 1e3
        for mode in size.modes:
            row = _measured(size, mode, module, lowered, request, {"lowering_ms": lowering, "bits": max(bits)})
            request.say(_said(row))
            yield row


def _measured(
    size: Size, mode: mpc.Mode, module: nn.Module, lowered: mpc.LoweredModel, request: Request,
    lowering: Mapping[str, float],
) -> Row:  # fmt: skip
    weights = sum(tensor.numel() for tensor in module.parameters())
    metrics: dict[str, float | None] = {"weights": float(weights), **lowering}
    row = Row(
        paradigm="mpc", mode=mode, model=f"{size.family}-{size.size}", seed=request.seed, n_queries=0,
        parameters={"net": "loopback", "family": size.family, "size": size.size, "input_limit": _LIMIT},
        metrics=metrics, security=SECURITY[mode],
    )  # fmt: skip
    features = np.random.default_rng(request.seed).normal(size=(1, *size.input_shape)).clip(-_LIMIT, _LIMIT)
    features = features.astype(np.float32)
    try:
        with Parties([parts_of(lowered, mode, "logits")], timeout=_TIMEOUT) as parties:
            prepared = parties.prepare()
            asked = [parties.ask(features) for _ in range(_QUERIES[request.preset])]
            parties.end_session()
            reports = parties.finish()
    except (mpc.MpcError, PartyError) as error:
        return msgspec.structs.replace(row, parameters=dict(row.parameters) | {"refused": str(error)})
    plain = predict(module, features)
    offline, online = [each.offline for each in asked if each.offline], [each.online for each in asked]
    errors = [float(np.abs(each.scores - plain).max()) for each in asked if each.scores is not None]
    metrics |= {
        **costs.metrics([prepared], asked),
        "offline_bytes": float(np.median([phase.bytes for phase in offline])),
        "online_bytes": float(np.median([phase.bytes for phase in online])),
        "largest_score": float(np.abs(plain).max()),
        **{f"{role}_rss_mb": round(report.peak_rss_mb, 1) for role, report in reports.items()},
    }
    return msgspec.structs.replace(
        row,
        n_queries=len(asked),
        agreement=float(np.mean([each.labels[0] == plain[0].argmax() for each in asked])),
        max_abs_error=max(errors),
        metrics=metrics,
        **costs.fields(asked) | {"peak_rss_mb": round(max(report.peak_rss_mb for report in reports.values()), 1)},
    )


def _said(row: Row) -> str:
    if row.offline_ms is None or row.online_ms is None:
        return f"{row.mode} {row.model} is refused: {row.parameters['refused']}"
    sizes = ", ".join(f"{role} {row.metrics[f'{role}_rss_mb']:,.0f}" for role in ("alice", "bob", "dealer"))
    return (
        f"{row.mode} {row.model}: {(row.metrics['weights'] or 0) / 1e6:.2f} M weights, offline"
        f" {row.offline_ms.median / 1e3:.2f} s, {(row.metrics['offline_bytes'] or 0) / 1e6:,.0f} MB, online"
        f" {row.online_ms.median / 1e3:.2f} s, {(row.metrics['online_bytes'] or 0) / 1e6:,.1f} MB, memory {sizes} MB"
    )
