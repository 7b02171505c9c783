"""The shaped link beside a network whose delay and bandwidth the kernel makes, in a network namespace of our own.

Needs Linux, root, iproute2 and the kernel's netem; elsewhere skipped with the reason.  Run as a script it measures:
``python test_netem.py wan`` prints milliseconds of a small round trip and of a large message one way.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sotto.link import SHAPES, LinkClosed, Shape, connect, listen

ROOT = Path(__file__).parent.parent.parent
NAMESPACE = f"sotto-netem-{os.getpid()}"
LARGE = 2_000_000
REPEATS = 9


def measure(shape: Shape) -> tuple[float, float]:
    """Medians in ms over TCP on loopback: 100 bytes there and back, and LARGE bytes there with a short answer."""
    with listen() as listener:
        echo = threading.Thread(target=_answer, args=(listener, shape), daemon=True)
        echo.start()
        with connect("127.0.0.1", listener.address[1], timeout=60, shape=shape) as link:
            for _ in range(5):  # TCP's window must have opened before its bandwidth can be seen
                _timed(link, LARGE)
            small = [_timed(link, 100) for _ in range(REPEATS)]
            large = [_timed(link, LARGE) for _ in range(REPEATS)]
        echo.join(10)
    return statistics.median(small), statistics.median(large)


def _answer(listener, shape):
    with listener.accept(timeout=60, shape=shape) as link:
        try:
            while True:
                link.receive("there", limit=LARGE)
                link.send("back", bytes(100))
        except LinkClosed:
            pass


def _timed(link, size):
    started = time.monotonic()
    link.send("there", bytes(size))
    link.receive("back", limit=100)
    return 1e3 * (time.monotonic() - started)


def _script(*before: str, shape: str) -> tuple[float, float]:
    """:func:`measure` in a process of its own, behind the command ``before``."""
    done = subprocess.run(
        [*before, sys.executable, __file__, shape],
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=True,
    )
    small, large = map(float, done.stdout.split())
    return small, large


@pytest.fixture
def namespace(request):
    """Runs a command inside a namespace whose loopback netem shapes as ``request.param`` says."""
    if not shutil.which("ip") or not shutil.which("tc"):
        pytest.skip("iproute2 (ip and tc) is not installed")
    shape = SHAPES[request.param]
    inside = ("ip", "netns", "exec", NAMESPACE)
    steps = (
        ("ip", "netns", "add", NAMESPACE),
        (*inside, "ip", "link", "set", "lo", "up"),
        # Both directions pass the one queue of loopback: each packet is late by half a round trip.
        (*inside, "tc", "qdisc", "add", "dev", "lo", "root", "netem", "limit", "20000",
         "delay", f"{500 * shape.rtt_ms:.0f}us", "rate", f"{shape.mbit_per_s:.0f}mbit"),
    )  # fmt: skip
    try:
        for step in steps:
            done = subprocess.run(step, capture_output=True, text=True, timeout=20, check=False)
            if done.returncode:
                pytest.skip(f"no netem here: {' '.join(step[:3])} … says {done.stderr.strip()}")
        yield request.param, inside
    finally:
        subprocess.run(("ip", "netns", "del", NAMESPACE), capture_output=True, timeout=20, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("namespace", ["lan", "wan"], indirect=True)
def test_the_shaped_link_takes_as_long_as_the_kernels_network(namespace):
    name, inside = namespace
    ours = _script(shape=name)
    kernels = _script(*inside, shape="loopback")
    for mine, its in zip(ours, kernels, strict=True):
        assert mine == pytest.approx(its, rel=0.25, abs=0.5)


@pytest.mark.parametrize("name", ["lan", "wan"])
def test_the_measurement_sees_the_delay_and_the_bandwidth(name):
    shape = SHAPES[name]
    small, large = _script(shape=name)
    transfer = LARGE * 8e-3 / shape.mbit_per_s
    assert shape.rtt_ms <= small
    assert shape.rtt_ms + transfer <= large


if __name__ == "__main__":
    print(*measure(SHAPES[sys.argv[1]]))
