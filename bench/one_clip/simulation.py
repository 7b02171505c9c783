"""One clip, answered privately, with everything each party saw laid open for the reader.

The experimenter may see all of it; the parties' processes do not.  :func:`exposed` is the plain test of what leaks in
the open: which of Alice's feature values stand, bit for bit, in what another party received.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sotto.audio import Clip
from sotto.bench.experiment import Experiment
from sotto.bench.parties.control import Report, Seen
from sotto.bench.parties.parties import Parties, Phase
from sotto.link import SHAPES

_KEEP = 4 << 20  # bytes of each message kept, enough for every query here; keys may be longer


@dataclass(frozen=True)
class Simulation:
    """What happened: the answer, the plaintext model's, the cost, and each party's report.

    ``label`` is -1 where values without a class are revealed.  Where scores are: ``scores`` (classes,), and how far the
    furthest is from the plaintext model's.

    ``session`` is what came once before any clip, ``offline`` what was prepared for this one (None where nothing was),
    and ``online`` its query.
    """

    query: npt.NDArray[np.float32]
    label: int
    plain_label: int
    scores: npt.NDArray[np.float32] | None
    scores_error: float | None
    session: Phase
    offline: Phase | None
    online: Phase
    reports: Mapping[str, Report]


def simulate(experiment: Experiment, clip: Clip, net: str) -> Simulation:
    """Run the parties of ``experiment`` as processes on one clip.  Raises
    :class:`sotto.bench.parties.parties.PartyError`."""
    query = experiment.query(clip)
    with Parties([experiment.parts], SHAPES[net], experiment.plan.timeout, keep_payloads=_KEEP) as parties:
        prepared = parties.prepare()
        asked = parties.ask(query)
        parties.end_session()
        reports = parties.finish()
    plain_labels, plain_scores = experiment.plain(query)
    error = None
    if asked.scores is not None and plain_scores is not None:
        error = float(np.abs(asked.scores - plain_scores).max())
    return Simulation(
        query=query,
        label=int(asked.labels[0]),
        plain_label=int(plain_labels[0]),
        scores=None if asked.scores is None else asked.scores[0],
        scores_error=error,
        session=prepared,
        offline=asked.offline,
        online=asked.online,
        reports=reports,
    )


def exposed(query: npt.NDArray[np.float32], seen: list[Seen]) -> tuple[int, int]:
    """How many neighbouring pairs of feature values stand as they are in what a party received, and of how many.

    Plain copies only: pairs of float32, of float64, and of 64-bit fixed point with 16 fractional bits (as mpc encodes
    them).  Pairs, because a single value could be met by chance.  A transform that hides little passes this test.
    """
    received = b"".join(message.payload for message in seen if message.direction == "received")
    values = query.ravel()
    pairs = values[: len(values) // 2 * 2].reshape(-1, 2)
    pairs = pairs[(pairs != 0).any(axis=1)][:2000]
    forms = (pairs.astype("<f4"), pairs.astype("<f8"), (pairs * 2**16).astype("<i8"))
    copied = np.zeros(len(pairs), bool)
    for form in forms:
        written = [pair.tobytes() for pair in form]
        met = _among(received, set(written))
        copied |= np.array([each in met for each in written], bool)
    return int(copied.sum()), len(pairs)


def _among(received: bytes, wanted: set[bytes]) -> set[bytes]:
    """Those of ``wanted``, all of one length of at least 8 bytes, that stand anywhere in ``received``.

    By their first eight bytes at every offset: a search for each of them would read megabytes thousands of times.
    """
    found: set[bytes] = set()
    if not wanted or len(received) < 8:
        return found
    heads = np.unique(np.array([int.from_bytes(each[:8], "little") for each in wanted], np.uint64))
    length = len(next(iter(wanted)))
    for offset in range(8):
        words = np.frombuffer(received, "<u8", max(0, len(received) - offset) // 8, offset)
        places = np.searchsorted(heads, words).clip(max=len(heads) - 1)
        for hit in np.flatnonzero(heads[places] == words).tolist():
            start = 8 * hit + offset
            found |= wanted & {received[start : start + length]}
    return found


def summary(seen: list[Seen]) -> list[tuple[str, str, str, int, int, bytes]]:
    """Messages of one party by first appearance: direction, peer, name, count, bytes, a few bytes of the first one.

    Those bytes are from the middle, where the data is; a message begins with the names of its fields.
    """
    lines: dict[tuple[str, str, str], tuple[int, int, bytes]] = {}
    for message in seen:
        key = (message.direction, message.peer, message.name)
        middle = max(0, len(message.payload) // 2 - 4)
        count, size, sample = lines.get(key, (0, 0, message.payload[middle : middle + 8]))
        lines[key] = (count + 1, size + message.size, sample)
    return [(*key, *value) for key, value in lines.items()]
