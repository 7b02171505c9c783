"""A shaped link takes as long as the network it stands for."""

from __future__ import annotations

import threading
import time

import pytest

from sotto.link import SHAPES, FrameError, LinkTimeout, Shape, pair
from sotto.link.shape import Pacer
from tests.error_codes import raises_code


def _round_trip(shape: Shape, size: int) -> float:
    left, right = pair(timeout=10, shape=shape)
    thread = threading.Thread(target=lambda: right.send("back", right.receive("out", limit=size)))
    thread.start()
    started = time.monotonic()
    left.send("out", bytes(size))
    left.receive("back", limit=size)
    thread.join()
    return time.monotonic() - started


def test_a_round_trip_takes_the_links_delay_and_its_bandwidth():
    assert _round_trip(SHAPES["wan"], 10) >= 0.040
    assert _round_trip(Shape("slow", 20, 8), 100_000) >= 0.020 + 2 * 0.1  # 100 kB at 8 Mbit/s: 0.1 s each way
    assert SHAPES["lan"] == Shape("lan", 1.0, 1000.0)
    assert SHAPES["wan"] == Shape("wan", 40.0, 100.0)


def test_frames_queue_behind_one_another():
    pacer = Pacer(Shape("slow", 0, 8))
    first, second = pacer.deliver_at(1_000_000), pacer.deliver_at(1_000_000)
    assert second - first == 1_000_000_000


def test_loopback_is_not_shaped():
    assert Pacer(SHAPES["loopback"]).deliver_at(1_000_000) == 0


def test_a_far_instant_meets_the_deadline_at_once():
    left, right = pair(timeout=10, shape=Shape("moon", 2600, 0))
    left.send("out", b"")
    started = time.monotonic()
    with pytest.raises(LinkTimeout):
        right.receive("out", limit=0, timeout=0.2)
    assert time.monotonic() - started < 1


def test_a_shaped_sender_and_a_plain_receiver_do_not_mix():
    left, right = pair(timeout=10)
    left._pacer = Pacer(SHAPES["wan"])
    left.send("out", b"")
    with raises_code(FrameError, "net-differs"):
        right.receive("out", limit=0)
