"""What the reproductions of the cryptonet share: its task, and encrypted sessions carried by hand.

The paper (Dias, Abad, Trancoso, section 5) tells neutral from angry on a corpus that cannot be had; here that is done
on the corpus of the request where it has both, on RAVDESS for instance, and on all its classes where it has not.  A
session's messages are carried by this process, so that Bob's computation can be timed by itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto import he
from sotto.audio.splits import default_split
from sotto.bench.request import Request
from sotto.bench.workbench import Workbench
from sotto.he.messages import MAX_PART, VERSION, Description, Mode, Query, Reply
from sotto.he.session_secrets import make_secrets
from sotto.link import encode
from sotto.link.frames import HEADER

PAIR = ("neutral", "angry")

Vectors = npt.NDArray[np.float32]


def open_pair(request: Request) -> Workbench:
    """The workbench of a request, its corpus cut down to neutral and angry clips where both are acted."""
    corpus = request.corpus
    if corpus == "synthetic" and request.data is not None:
        corpus = "ravdess"
        request.say("a folder needs a corpus in it: taking it for RAVDESS, name another with --corpus")
    bench = request.open_workbench(corpus=corpus)
    if not set(PAIR) <= set(bench.classes):
        request.say(f"{bench.corpus.name} has no {' and '.join(PAIR)} clips: all its classes are told apart instead")
        return bench
    pair = bench.corpus.select(lambda clip: clip.label(bench.label) in PAIR)
    return Workbench(pair, default_split(pair, request.seed), bench.label, bench.preset, bench.seed, bench.say)


@dataclass
class Session:
    """Alice and Bob with fresh keys, and what their messages weigh.

    ``server_ms``: Bob's time for each vector, or in mode ``batched`` for each batch, from ciphertext bytes to answer
    bytes; ``server_busy_ms``: of its processor, which a machine busy with other things does not stretch as much.
    ``query_bytes``, ``answer_bytes``: frames included, of one vector or one batch; ``key_bytes``: without frames.
    """

    module: nn.Module
    calibration: Vectors
    mode: Mode
    flooding_bits: int = 0
    key_bytes: int = 0
    query_bytes: int = 0
    answer_bytes: int = 0
    prepare_ms: float = 0.0
    load_ms: float = 0.0
    server_ms: list[float] = field(default_factory=list)
    server_busy_ms: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        started = time.perf_counter()
        self.bob = he.Bob(
            self.module,
            calibration=self.calibration,
            mode=self.mode,
            flooding_bits=self.flooding_bits,
            threads=1,
        )
        loaded = time.perf_counter()
        self._secrets = make_secrets(self.bob.description, 1)
        material = self._secrets.public_material()
        self._evaluator = self.bob.open(material)
        self.load_ms, self.prepare_ms = (loaded - started) * 1e3, (time.perf_counter() - loaded) * 1e3
        self.key_bytes = len(material)

    @property
    def rows(self) -> int:
        """Vectors of one batch."""
        return self._secrets.rows if self.mode == "batched" else 1

    @property
    def median_ms(self) -> float:
        """Of :attr:`server_ms`."""
        return float(np.median(self.server_ms))

    @property
    def median_busy_ms(self) -> float:
        """Of :attr:`server_busy_ms`."""
        return float(np.median(self.server_busy_ms))

    @property
    def chain(self) -> tuple[int, ...]:
        """Bits of every prime."""
        description = self.bob.description
        if isinstance(description, Description):
            return description.parameters().chain
        return description.chain

    def ask(self, vectors: Vectors) -> npt.NDArray[np.float64]:
        """Unrounded logits (n, classes), one query or one batch after the other."""
        inside = np.clip(vectors, -1, 1).astype(np.float64)
        return np.concatenate(
            [self._batch(inside[start : start + self.rows]) for start in range(0, len(inside), self.rows)]
        )

    def _batch(self, vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        ciphertexts = list(self._secrets.encrypt(vectors))
        started, busy = time.perf_counter(), time.process_time()
        answers = [answer for ciphertext in ciphertexts for answer in self._evaluator.take(ciphertext)]
        self.server_busy_ms.append((time.process_time() - busy) * 1e3)
        self.server_ms.append((time.perf_counter() - started) * 1e3)
        parts = [tuple(ciphertexts[start : start + MAX_PART]) for start in range(0, len(ciphertexts), MAX_PART)]
        self.query_bytes = sum(_framed("he.query", encode(Query(VERSION, True, part))) for part in parts)
        self.answer_bytes = sum(_framed("he.answer", encode(Reply(VERSION, answer))) for answer in answers)
        return self._secrets.decrypt(answers, len(vectors))


def _framed(name: str, payload: bytes) -> int:
    """Bytes that a message puts on a link."""
    return HEADER.size + len(name) + len(payload)
