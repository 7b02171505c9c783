"""A peer's run as a job: a folder with what it is asked, a program that does it, a file with what came out.

The program may need another environment than ours (all but CrypTen do), and for a slow network it runs in a network
namespace whose loopback the kernel delays (netem), because a peer's own transport cannot be shaped by
:mod:`sotto.link.shape`.  What is exchanged is JSON and NumPy arrays without pickles.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from sotto.link import Coded, Shape

REQUEST, ARRAYS, RESPONSE = "request.json", "arrays.npz", "response.json"


class PeerError(Coded, RuntimeError):
    """A peer's program failed; the message is one line."""


class Request(msgspec.Struct, frozen=True):
    """What a peer is asked; weights and queries (n, …) float32 are in ``arrays.npz``.

    ``network`` is a public description in the words of the peer's kind (:mod:`sotto.bench.peers.workloads`);
    ``examples`` is how many there are to be classified.  ``singles`` queries of one example are timed after
    ``warm_up``; ``batch`` more are asked together (0: none).
    """

    network: str
    input_shape: list[int]
    classes: int
    examples: int
    singles: int
    warm_up: int
    batch: int
    timeout: float


class Response(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What came out: classes in the order of the queries, milliseconds of every single query, bytes by party.

    ``setup_ms``: from standing processes to a shared model.  ``key_bytes``: key material sent in it, where there are
    keys.  ``cpu_seconds``: of each party's processor for a single query.  ``scores``: what Alice decrypted of each
    query, for the experimenter alone, where she learns scores.
    """

    labels: list[int]
    milliseconds: list[float]
    batch_milliseconds: list[float]
    setup_ms: float
    bytes_alice: int
    bytes_bob: int
    rounds: int | None
    peak_rss_mb: float
    versions: dict[str, str]
    key_bytes: int | None = None
    cpu_seconds: dict[str, float] = {}
    scores: list[list[float]] | None = None


def run(
    command: Sequence[str], request: Request, arrays: Mapping[str, npt.NDArray[Any]], folder: Path, shape: Shape
) -> Response:
    """Have ``command`` (its last argument will be the folder) do ``request``.  Raises :class:`PeerError`."""
    place = folder / f"job-{secrets.token_hex(4)}"
    place.mkdir(mode=0o700)
    try:
        (place / REQUEST).write_bytes(msgspec.json.encode(request))
        np.savez(place / ARRAYS, allow_pickle=False, **arrays)
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "GOMAXPROCS"), "1")
        try:
            done = subprocess.run(  # noqa: S603  our own program
                [*_network(shape), *command, str(place)],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=request.timeout,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **one_thread, "GLOO_SOCKET_IFNAME": "lo"},
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise PeerError(
                "no-answer", f"the peer gave no answer within {request.timeout:g} s: is the machine too busy?"
            ) from None
        except OSError as error:
            raise PeerError("cannot-start", f"cannot start {command[0]}: {error.strerror}") from None
        if done.returncode:
            raise PeerError(
                "program-failed", _last_line(done.stderr) or f"its program ended with code {done.returncode}"
            )
        try:
            return msgspec.json.decode((place / RESPONSE).read_bytes(), type=Response)
        except (OSError, msgspec.MsgspecError) as error:
            raise PeerError("no-usable-answer", f"its program left no usable answer ({type(error).__name__})") from None
    finally:
        shutil.rmtree(place, ignore_errors=True)


def shapable(shape: Shape) -> str | None:
    """Why a peer cannot be run on this network here; None when it can."""
    if not shape.shaped:
        return None
    if not all(shutil.which(tool) for tool in ("unshare", "ip", "tc")):
        return "a slow network for a peer needs unshare, ip and tc (util-linux, iproute2)"
    done = subprocess.run(  # noqa: S603  fixed words
        [*_network(shape), "true"], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False
    )
    return f"the kernel makes no slow network here ({_last_line(done.stderr)})" if done.returncode else None


def own_python(module: str) -> list[str]:
    """The command that runs a module of this project in this environment."""
    return [sys.executable, "-m", module]


#: Both directions pass the one queue of loopback: each packet is late by half a round trip.
_NETEM = 'ip link set lo up && tc qdisc add dev lo root netem limit 20000 delay "$0" rate "$1" && shift && exec "$@"'


def _network(shape: Shape) -> list[str]:
    """What to write before a command so that it has a loopback of that shape, without root."""
    if not shape.shaped:
        return []
    setting = [f"{500 * shape.rtt_ms:.0f}us", f"{shape.mbit_per_s:.0f}mbit"]
    return ["unshare", "--user", "--map-root-user", "--net", "sh", "-c", _NETEM, *setting]


#: What Python writes around an exception: which process it ended, and where in the program (indented).
_AROUND = re.compile(r"\s|Process \S+:$|Traceback \(most recent call last\):$")


def _last_line(text: str) -> str:
    """The last line that says something, an exception's own for instance."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not _AROUND.match(line)]
    return lines[-1][:300] if lines else ""
