"""The demonstration's server and queue: who may ask, how much, and that one run follows the other."""

from __future__ import annotations

import http.client
import io
import json
import threading
from types import SimpleNamespace
from urllib.parse import urlencode

import numpy as np
import pytest
import soundfile

from sotto.audio import BrokenClip, Clip
from sotto.bench.parties.control import Report, Seen
from sotto.demo.engine import DemoRequest, Engine, came_of, exchanged, require_speech
from sotto.demo.runs import MOST_KEPT, MOST_WAITING, Busy, Runs
from sotto.demo.server import MOST_UPLOAD, TOKEN_HEADER, Server
from tests.error_codes import raises_code

WISH = {"paradigm": "hashing", "mode": "smh", "model": "svm"}


class Paced(Engine):
    """The engine's checks on a corpus of one clip; an answer takes until the test lets it, and has no parties."""

    def __init__(self):
        cell = SimpleNamespace(paradigm="hashing", mode="smh", model="svm")
        self.cells, self.samples = (
            [cell, SimpleNamespace(paradigm="mpc", mode="malicious", model="frames")],
            {"one": None},
        )
        self.go, self.running, self.most, self.heard = threading.Semaphore(0), 0, 0, []

    def answer(self, request, clip, tell):
        self.running += 1
        self.most = max(self.most, self.running)
        tell("working")
        assert self.go.acquire(timeout=20)
        self.running -= 1
        if clip:
            self.heard.append(clip.path.read_bytes())
            require_speech(clip)
        return {"kind": "answer", "request": request.sample}


@pytest.fixture
def demo(tmp_path):
    engine = Paced()
    runs = Runs(engine)
    server = Server(runs, {"classes": ["calm"]}, tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield SimpleNamespace(engine=engine, runs=runs, server=server, folder=tmp_path)
    for _ in range(50):
        engine.go.release()
    runs.close()
    server.shutdown()
    server.server_close()
    thread.join(10)


def ask(demo, method, path, body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", demo.server.server_address[1], timeout=20)
    known = {TOKEN_HEADER: demo.server.token} | {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {name: value for name, value in known.items() if value is not None})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer, json.loads(text) if "json" in answer.headers["Content-Type"] else text


def start(demo, body=None, **more):
    return ask(demo, "POST", f"/api/runs?{urlencode({**WISH, **more})}", body)


def wave(seconds, level=0.3, rate=16000):
    buffer = io.BytesIO()
    soundfile.write(buffer, level * np.sin(np.arange(int(seconds * rate)) / 7), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def test_only_this_machine_is_listened_to_and_the_token_is_behind_the_hash(demo):
    assert demo.server.server_address[0] == "127.0.0.1"
    assert demo.server.address.endswith(f"/#{demo.server.token}")


def test_the_page_is_open_and_everything_else_needs_the_token(demo):
    answer, page = ask(demo, "GET", "/", **{TOKEN_HEADER.replace("-", "_"): None})
    assert answer.status == 200
    assert demo.server.token.encode() not in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    for method, path in (("GET", "/api/offer"), ("POST", "/api/runs"), ("GET", "/api/runs/abcdefgh")):
        for token in (None, "", "x" * 32, "ä"):
            answer, said = ask(
                demo, method, path, **{TOKEN_HEADER.replace("-", "_"): token and token.encode("latin-1")}
            )
            assert answer.status == 403
            assert "token" in said["error"]
    assert ask(demo, "GET", "/api/offer")[1] == {"classes": ["calm"]}


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1:1"},
        {"Host": "evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
def test_other_names_and_other_pages_are_refused_even_with_the_token(demo, headers):
    for method, path in (("GET", "/"), ("GET", "/api/offer"), ("POST", f"/api/runs?{urlencode(WISH)}&sample=one")):
        answer, _ = ask(demo, method, path, **headers)
        assert answer.status == 403


def test_nothing_but_the_routes_is_served(demo):
    for path in ("/demo.py", "/../cli.py", "/%2e%2e/cli.py", "/report.html", "/api", "/api/runs", "/api/runs/../offer"):
        assert ask(demo, "GET", path)[0].status == 404, path
    assert ask(demo, "POST", "/")[0].status == 404
    assert ask(demo, "DELETE", "/")[0].status == 501


@pytest.mark.parametrize(
    ("body", "more", "status", "reason"),
    [
        (b"GIF89a", {}, 400, "neither WAV nor FLAC"),
        (None, {}, 400, "send a clip"),
        (b"RIFF", {"sample": "one"}, 400, "send a clip"),
        (None, {"sample": "two"}, 400, "not offered"),
        (None, {"sample": "one", "net": "moon"}, 400, "network is one of"),
        (None, {"sample": "one", "mode": "x"}, 400, "not offered"),
        (None, {"sample": "one", "more": "x"}, 400, "nothing unknown"),
        (None, {"sample": "one", "cheat": "bob:relu1"}, 400, "only a party of mpc"),
        (
            None,
            {"sample": "one", "paradigm": "mpc", "mode": "malicious", "model": "frames", "cheat": "eve:x"},
            400,
            "PARTY",
        ),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_before_it_waits(demo, body, more, status, reason):
    answer, said = start(demo, body, **more)
    assert answer.status == status
    assert reason in said["error"]
    assert not list(demo.folder.iterdir())


def test_an_upload_is_bounded_and_its_length_announced(demo):
    path = f"/api/runs?{urlencode(WISH)}"
    assert ask(demo, "POST", path, None, Content_Length=str(MOST_UPLOAD + 1))[0].status == 413
    assert ask(demo, "POST", path, None, Content_Length="-1")[0].status == 411
    assert ask(demo, "POST", path, None, Content_Length="²")[0].status == 411
    assert ask(demo, "POST", path, iter([b"RIFF"]), Transfer_Encoding="chunked")[0].status == 411


def test_a_run_tells_what_happens_and_its_upload_is_gone_afterwards(demo):
    sound = wave(1.0)
    answer, said = start(demo, sound)
    assert answer.status == 200
    assert [path.stat().st_mode & 0o077 for path in demo.folder.iterdir()] == [0]
    demo.engine.go.release()
    events, done = [], False
    while not done:
        _, more = ask(demo, "GET", f"/api/runs/{said['id']}?after={len(events)}")
        events, done = events + more["events"], more["done"]
    assert [event["kind"] for event in events] == ["state", "state", "answer"]
    assert demo.engine.heard == [sound]
    demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: None)  # the next one starts when the former has cleaned up
    demo.engine.go.release()
    for _ in range(100):
        if not list(demo.folder.iterdir()):
            break
        threading.Event().wait(0.05)
    assert not list(demo.folder.iterdir())


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (wave(0.1), "between 0.25 and 15"),
        (wave(16.0), "between 0.25 and 15"),
        (wave(1.0, level=0.0), "silent"),
        (wave(1.0)[:2000], "truncated"),
        (b"RIFF" + bytes(100), "cannot be decoded"),
        (b"fLaC" + bytes(100), "cannot be decoded"),
    ],
)
def test_a_clip_that_cannot_be_used_is_one_line_that_names_no_file(demo, sound, reason):
    _, said = start(demo, sound)
    demo.engine.go.release()
    run = demo.runs.get(said["id"])
    while not run.done:
        run.since(len(run.events), 5)
    assert run.events[-1]["kind"] == "error"
    assert run.events[-1]["clip"]
    assert reason in run.events[-1]["text"]
    assert "upload-" not in run.events[-1]["text"]


def test_one_run_at_a_time_a_few_wait_and_the_rest_are_turned_away(demo):
    first = demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: None)
    while len(first.events) < 2:
        first.since(len(first.events), 5)
    demo.runs.say("what is made ready beside it")
    assert len(first.events) == 2
    waiting = [demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: None) for _ in range(MOST_WAITING)]
    assert waiting[1].events[0]["text"] == "2 before it"
    with raises_code(Busy, "too-many-waiting"):
        demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: pytest.fail("stored although there is no room"))
    assert start(demo, sample="one")[0].status == 503
    for run in (first, *waiting):
        demo.engine.go.release()
        while not run.done:
            run.since(len(run.events), 5)
    assert demo.engine.most == 1


def test_nothing_is_made_ready_while_somebody_asks(demo):
    made = []
    demo.engine._experiment = made.append
    run = demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: None)
    warming = threading.Thread(target=demo.engine.warm_up, args=(demo.runs.await_idle,), daemon=True)
    warming.start()
    warming.join(0.2)
    assert not made
    demo.engine.go.release()
    warming.join(60)
    assert run.done
    assert {cell.paradigm for cell in made} == {"hashing", "mpc"}


def test_only_the_last_runs_are_kept(demo):
    names = []
    for _ in range(MOST_KEPT + 5):
        run = demo.runs.add(DemoRequest(**WISH, sample="one"), lambda: None)
        names.append(run.id)
        demo.engine.go.release()
        while not run.done:
            run.since(len(run.events), 5)
    assert [demo.runs.get(name) is None for name in names] == [True] * 5 + [False] * MOST_KEPT


def test_waiting_for_events_ends():
    from sotto.demo.runs import Run

    run = Run(DemoRequest(**WISH), None)
    assert run.since(0, 0.05) == ([], False)
    run.tell({"kind": "answer"}, done=True)
    assert run.since(0, 60) == ([{"kind": "answer"}], True)
    assert run.since(1, 60) == ([], True)


def test_messages_are_told_once_in_the_order_of_sending():
    def seen(direction, peer, name, at):
        return Seen(direction, peer, name, 10, b"", at)

    reports = {
        "alice": Report(1.0, [seen("sent", "bob", "x.hello", 1.0), seen("received", "bob", "x.ready", 1.2),
                              seen("sent", "bob", "x.query", 1.5), seen("received", "bob", "x.reply", 1.9)]),
        "bob": Report(1.0, [seen("received", "alice", "x.hello", 1.05), seen("sent", "alice", "x.ready", 1.1),
                            seen("received", "alice", "x.query", 1.6), seen("sent", "alice", "x.reply", 1.8)]),
    }  # fmt: skip
    told = exchanged(reports)
    assert [(each["from"], each["name"], each["online"]) for each in told] == [
        ("alice", "x.hello", False), ("bob", "x.ready", False), ("alice", "x.query", True), ("bob", "x.reply", True),
    ]  # fmt: skip
    assert [each["ms"] for each in told] == pytest.approx([0, 100, 500, 800])
    assert exchanged({}) == []


def test_lengths_are_those_of_the_decoded_sound():
    require_speech(Clip(id="x", samples=np.ones(16000, np.float32), rate=16000))
    with raises_code(BrokenClip, "bad-length"):
        require_speech(Clip(id="x", samples=np.ones(16000, np.float32), rate=1000))


@pytest.mark.parametrize(
    ("adversary", "verdict", "words"),
    [
        ("semi-honest Alice or Bob", "harmless", "by luck; nothing would have caught it"),
        ("malicious Alice or Bob", "harmless", "Harmless: the right answer came out."),
        ("semi-honest Alice or Bob", "accepted", "Alice took a wrong answer"),
    ],
)
def test_a_right_answer_in_spite_of_a_cheat_is_luck_where_nothing_is_checked(adversary, verdict, words):
    assert words in came_of(verdict, adversary)
