"""Whatever Bob does, what he sees does not depend on Alice's features: messages, sizes, order, the end and its reason.

One host holds every deviating Bob, each session is a process of its own, the dealer is a real one.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from sotto.audio import Clip
from sotto.serving import client, registry
from sotto.serving.service.reports import Closed
from tests.serving.deviating import HE, INPUTS, MPC, Eavesdropper, Stage
from tests.serving.parties import client_config, dealing, host, report_of


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    """Puts a Bob on stage and asks him; what Alice got, and what he and the dealer saw."""
    folder = tmp_path_factory.mktemp("stage")
    on, seen, dealt = folder / "on", folder / "bob", folder / "dealer"
    on.write_text("mpc honest", encoding="utf-8")
    with (
        host(partial(dealing, ("malicious",)), role="dealer", probe=Eavesdropper(dealt)) as (dealer, dealer_at),
        host(partial(Stage, on), dealer=dealer_at, probe=Eavesdropper(seen), message_seconds=20.0) as (bob, address),
    ):

        def run(who, question):
            name = who.split()[0]
            on.write_text(who, encoding="utf-8")
            mode = registry.paradigm(name).modes[0]
            got = []
            try:
                with client.session(
                    client_config(address, paradigm=name, mode=mode, dealer=dealer_at if name == "mpc" else None)
                ) as session:
                    question(session, got)
            except Exception as error:
                got.append(f"{type(error).__name__}: {error}")
            report_of(bob, Closed)
            if name == "mpc":
                report_of(dealer, Closed)
            views = [
                json.loads(path.read_text().splitlines()[-1]) for path in ([seen, dealt] if name == "mpc" else [seen])
            ]
            return got, views

        yield run


def asked(x):
    def question(session, got):
        session.prepare()
        for _ in range(2):
            answer = session.ask(x)
            got.append((session.name(int(answer.labels[0])), answer.warnings))

    return question


def row(*last):
    return np.array([[0.5, 0.1, -0.3, 0.2, 0.4, 0.0][: INPUTS - len(last)] + list(last)], np.float32)


#: pairs that differ in what a deviating Bob could want to know
PAIRS = {
    "feature 5 is positive": (row(-0.9), row(0.9)),
    "the label": (row(0.9), np.array([[0.0, 0.0, 0.9, 0.0, 0.0, 0.9]], np.float32)),
    "beyond the limit": (row(0.5), row(5e4)),
    "beyond half the limit": (row(3.0), row(90.0)),
    "not finite": (row(0.5), row(np.nan)),
    "infinite": (row(0.5), row(-np.inf)),
}


_ATTEMPTS = 6  # where Bob's own two links race, the same question shows two views, and so does the other


def compare(stage, who, one, other):
    """What each question gave; every view that one of them ever showed, the other must have shown too."""
    views, others = [], []
    for _ in range(_ATTEMPTS):
        (got, view), (got_other, view_other) = stage(who, one), stage(who, other)
        views.append(view)
        others.append(view_other)
        if _each_among(who, views, others) and _each_among(who, others, views):
            return got, got_other
    raise AssertionError((who, got, got_other, views, others))


def _each_among(who, views, others):
    return all(any(alike(who, view, other) for other in others) for view in views)


def alike(who, views, others):
    """Equal; the sizes of compressed keys and ciphertexts of he vary at random by a few bytes in a thousand."""
    if who.startswith("mpc"):
        return views == others
    (one,), (other,) = views, others
    pairs = list(zip(one["seen"], other["seen"], strict=False))
    return (
        one["end"] == other["end"]
        and len(one["seen"]) == len(other["seen"])
        and all(a[:3] == b[:3] and abs(a[3] - b[3]) <= a[3] // 200 for a, b in pairs)
    )


@pytest.mark.parametrize("how", MPC)
def test_mpc(stage, how):
    got = [compare(stage, f"mpc {how}", asked(one), asked(other)) for one, other in PAIRS.values()]
    if how == "honest":
        assert got[0] == ([("neutral", ())] * 2, [("neutral", ())] * 2)
        assert [len(other[0][1]) for _, other in got] == [0, 0, 1, 0, 1, 1]
    if how in ("classes", "classes that his digest admits", "limit", "plan's limit", "ranges", "shape"):
        assert all(len(one) == 1 and one == other and isinstance(one[0], str) for one, other in got), got


@pytest.mark.parametrize("how", HE)
def test_he(stage, how):
    pairs = PAIRS if how in ("honest", "bound") else {name: PAIRS[name] for name in ("the label", "not finite")}
    got = [compare(stage, f"he {how}", asked(one), asked(other)) for one, other in pairs.values()]
    if how == "bound":
        assert all("exceeds the bound" in str(other) for _, other in got)


@pytest.mark.parametrize("who", ["mpc honest", "mpc front end", "he honest"])
def test_a_recording_that_gives_no_features(stage, who):
    """The front end is Bob's here, so that what it makes of a recording must not show."""
    time = np.arange(16000) / 16000
    good = Clip(id="tone", samples=np.sin(2 * np.pi * 200 * time).astype("float32"), rate=16000)
    short = Clip(id="short", samples=np.ones(1, "float32"), rate=16000)
    gone = Clip(id="gone", path=Path("/no/such/recording.wav"))

    def about(clip):
        def question(session, got):
            features = session.features(clip)
            session.prepare()
            got.append((session.name(int(session.ask(features).labels[0])), len(session.problems)))

        return question

    for clip in (short, gone):
        one, other = compare(stage, who, about(good), about(clip))
        if who != "mpc front end":
            assert (one[0][1], other[0][1]) == (0, int(clip is gone))


def test_what_alice_does_with_an_answer_does_not_show(stage):
    """She stops because of the label, by an exception of her own, or goes home: Bob sees the same."""

    def stops(session, got):
        session.prepare()
        session.ask(row(0.9))
        raise RuntimeError("not what I hoped for")

    def leaves(session, got):
        session.prepare()
        session.ask(row(0.1))

    compare(stage, "mpc honest", stops, leaves)
    compare(stage, "he honest", stops, leaves)
