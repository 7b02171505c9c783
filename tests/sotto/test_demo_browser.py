"""The demonstration as a visitor meets it: the command, a real Chromium, real parties, a recorded and a chosen clip."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import numpy as np
import pytest
import soundfile

from sotto.report.page import asset
from tests.sotto.test_end_to_end import EMOTIONS, corpus  # noqa: F401  a fixture

PATIENCE = 240_000  # milliseconds; a busy machine trains slowly
pytestmark = pytest.mark.timeout(900)


class Demo:
    """``sotto demo`` as a process of its own, until the address is known."""

    def __init__(self, *arguments, **environment):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sotto.cli", "demo", "--no-browser", *map(str, arguments)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            text=True,
            env={**os.environ, **environment},
        )
        giving_up = threading.Timer(PATIENCE / 1000, self.process.kill)
        giving_up.start()
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if found := re.search(r"http://127\.0\.0\.1:\d+/#\S+", line):
                self.address = found[0]
                break
        else:
            pytest.fail("".join(lines))
        giving_up.cancel()
        self.drain = threading.Thread(target=self.process.stderr.read, daemon=True)
        self.drain.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            assert self.process.wait(30) == 0
        finally:
            self.process.kill()
            self.drain.join(10)
            self.process.stderr.close()


@pytest.fixture(scope="module")
def address(corpus, tmp_path_factory, chromium):  # noqa: F811
    with Demo("--corpus", "manifest", "--data", corpus, SOTTO_CACHE=str(tmp_path_factory.mktemp("cache"))) as demo:
        yield demo.address


@pytest.fixture(scope="module")
def speech(tmp_path_factory, corpus):  # noqa: F811
    """A clip of two seconds for Chromium's false microphone."""
    path = tmp_path_factory.mktemp("speech") / "clip.wav"
    sound, rate = soundfile.read(corpus / "3-angry-1.wav")
    soundfile.write(path, [*sound, *sound, *sound], rate, subtype="PCM_16")
    return path


@pytest.fixture
def page(chromium, speech, address, watch):
    browser = chromium(f"--use-file-for-fake-audio-capture={speech}")
    context = browser.new_context(bypass_csp=False, reduced_motion="reduce")
    found = context.new_page()
    found.set_default_timeout(PATIENCE)
    wrong = watch(found, allowed=address.split("#")[0])
    found.goto(address)
    found.wait_for_selector("#paradigm option", state="attached")
    yield found
    assert wrong == []
    context.close()


def answer(page):
    page.wait_for_selector("#go:enabled")
    page.click("#go")
    page.wait_for_selector("#outcome:not([hidden]), #problem:not([hidden])")
    assert page.text_content("#problem") == ""
    return page.text_content("#answer")


def test_a_visitor_chooses_a_clip_and_sees_the_answer_and_what_bob_saw(page):
    assert "#" not in page.url  # the token is not left in the address
    page.select_option("#paradigm", "hashing")
    page.select_option("#sample", index=1)
    assert answer(page) in EMOTIONS
    assert "The corpus says" in page.text_content("#verdict")
    assert "hashing.query" in page.text_content("#sides")
    assert "0 of" in page.text_content("#sides")
    assert page.locator("#lanes g").count() == 4  # hello, ready, query, answer
    assert "hashing.query" in page.text_content("#lanes")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        violations = axe.run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in violations] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.slow
def test_a_visitor_records_or_uploads_a_clip(page, speech):
    page.select_option("#paradigm", "hashing")
    page.click("#record")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(1500)
    page.click("#record")
    page.wait_for_selector("#listen:not([hidden])")
    assert answer(page) in EMOTIONS
    page.set_input_files("#file", speech)
    page.wait_for_selector("text=as it is")
    assert answer(page) in EMOTIONS


def test_a_file_that_is_no_sound_is_told_and_the_page_goes_on(page, tmp_path):
    (tmp_path / "notes.txt").write_text("not a sound")
    page.set_input_files("#file", tmp_path / "notes.txt")
    page.wait_for_selector("text=cannot decode")
    assert page.is_disabled("#go")
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    page.set_input_files("#file", tmp_path / "silent.wav")
    page.click("#go:enabled")
    page.wait_for_selector("#problem:not([hidden])")
    assert "silent" in page.text_content("#problem")
    assert page.is_disabled("#go")  # until another clip is there


def test_without_the_token_the_page_says_what_to_open(chromium, address):
    page = chromium().new_page()
    page.goto(address.split("#")[0])
    page.wait_for_selector("#problem:not([hidden])")
    assert "sotto demo printed" in page.text_content("#problem")


class Staged:
    """The page before a server that answers a run when the test says so."""

    def __init__(self, page):
        self.page, self.wishes, self.held = page, [], []
        page.route("http://demo.test/**", self._answer)

    def _answer(self, route):
        path = urlsplit(route.request.url)
        if path.path == "/api/offer":
            route.fulfill(json=OFFER)
        elif path.path == "/api/runs":
            self.wishes.append(dict(parse_qsl(path.query)))
            route.fulfill(json={"id": f"run-{len(self.wishes)}"})
        elif path.path.startswith("/api/runs/"):
            self.held.append(route)
        else:
            name = path.path.strip("/") or "demo.html"
            kinds = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
            route.fulfill(body=asset(name), content_type=f"{kinds[name.rpartition('.')[2]]}; charset=utf-8")

    def waiting(self, count):
        """Until so many requests for events are held."""
        for _ in range(500):
            if len(self.held) >= count:
                return
            self.page.wait_for_timeout(20)
        pytest.fail(f"{len(self.held)} of {count} requests came")

    def tell(self, place, **event):
        self.held[place].fulfill(json={"events": [event], "done": True})


@pytest.fixture
def staged(chromium, watch):
    context = chromium().new_context(reduced_motion="reduce")
    found = Staged(context.new_page())
    wrong = watch(found.page, allowed="http://demo.test/")
    found.page.goto("http://demo.test/#token")
    found.page.wait_for_selector("#paradigm option", state="attached")
    found.page.select_option("#sample", "one")
    yield found
    assert wrong == []
    context.close()


OFFER = {
    "cells": [{"paradigm": "mpc", "mode": mode, "model": "frames"} for mode in ("malicious", "semi-honest")]
    + [{"paradigm": "hashing", "mode": "smh", "model": "svm"}],
    "nets": ["loopback", "wan"], "samples": [{"id": "one", "truth": "calm", "speaker": "1"}], "classes": ["calm"],
    "corpus": "a corpus", "notice": None, "least_seconds": 0.25, "most_seconds": 15.0,
}  # fmt: skip
ANSWERED = {
    "kind": "answer", "title": "mpc malicious, frames", "answer": "calm", "plain_answer": "calm", "truth": "calm",
    "notice": None, "cost": [["online", "12.0 ms"]], "exposed": [0, 12], "trusted": "a dealer", "adversary": "Bob",
    "leaks": "the class", "hides": "yes", "broken": "", "alice": [], "bob": [], "attacker": [],
    "parties": ["alice", "bob"],
    "messages": [{"from": "alice", "to": "bob", "name": "mpc.query", "bytes": 10, "ms": 0.0, "online": True}],
}  # fmt: skip
CHEATED = {
    "kind": "cheated", "title": "mpc semi-honest, frames", "cheat": "bob:relu1.masked:add", "altered": "a word",
    "verdict": "harmless", "words": "by luck", "said": "nothing", "honest": "calm", "taken": "calm",
    "sent": [["relu1.masked", 10, True]],
}  # fmt: skip


def test_an_answer_goes_when_the_choice_changes_and_its_cost_says_what_it_is(staged):
    page = staged.page
    for change in (("#mode", "semi-honest"), ("#net", "wan"), ("#paradigm", "hashing")):
        page.click("#go")
        staged.waiting(1)
        staged.tell(0, **ANSWERED)
        page.wait_for_selector("#outcome:not([hidden])")
        assert "One first query; the report has medians." in page.text_content("#verdict")
        page.select_option(*change)
        assert page.is_hidden("#outcome")
        assert page.is_hidden("#progress")
        staged.held.clear()


def test_nothing_can_be_chosen_while_a_request_runs_and_the_focus_comes_back(staged):
    page = staged.page
    page.focus("#cheat")
    page.keyboard.press("Space")
    staged.waiting(1)
    for control in ("paradigm", "mode", "model", "net", "sample", "cheat", "go"):
        assert page.is_disabled(f"#{control}"), control
    staged.tell(0, kind="places", places=["bob:relu1.masked", "bob:relu1.sign", "bob:relu2.masked", "alice:input"])
    page.wait_for_selector("#place-label:not([hidden])")
    assert page.input_value("#place") == "bob:relu2.masked"
    assert page.evaluate("document.activeElement.id") == "cheat"
    for control in ("paradigm", "mode", "model", "sample", "cheat", "place", "go"):
        assert page.is_enabled(f"#{control}"), control


def test_what_an_earlier_request_brings_is_dropped(staged, speech, tmp_path):
    page = staged.page
    page.check("#cheat")
    staged.waiting(1)
    page.set_input_files("#file", speech)  # another clip: its places are asked for
    staged.waiting(2)
    staged.tell(0, kind="places", places=["bob:old"])
    page.wait_for_timeout(200)
    assert page.is_hidden("#place-label")
    assert page.is_disabled("#mode")
    staged.tell(1, kind="places", places=["bob:new"])
    page.wait_for_selector("#place-label:not([hidden])")
    assert page.input_value("#place") == "bob:new"
    page.click("#go")
    staged.waiting(3)
    another = tmp_path / "another.wav"
    another.write_bytes(speech.read_bytes())
    page.set_input_files("#file", another)
    page.wait_for_selector("#progress", state="hidden")
    staged.tell(2, **CHEATED)
    page.wait_for_timeout(200)
    assert page.is_hidden("#outcome")


def test_a_harmless_cheat_is_neither_praised_nor_blamed(staged):
    page = staged.page
    page.check("#cheat")
    staged.waiting(1)
    staged.tell(0, kind="places", places=["bob:relu1.masked"])
    page.wait_for_selector("#place-label:not([hidden])")
    for verdict, tone in (("harmless", ""), ("caught", "good"), ("accepted", "bad")):
        page.click("#go")
        staged.waiting(len(staged.wishes))
        staged.tell(len(staged.wishes) - 1, **CHEATED | {"verdict": verdict})
        page.wait_for_selector(f"#answer:has-text('{verdict}')")
        assert page.get_attribute("#answer", "class").split()[1:] == tone.split()


@pytest.mark.slow
@pytest.mark.skipif("SOTTO_DATA" not in os.environ, reason="SOTTO_DATA names no folder of corpora")
def test_real_speech_is_answered_in_every_paradigm_and_a_cheater_is_caught(chromium):
    data = Path(os.environ["SOTTO_DATA"])
    with Demo("--corpus", "ravdess", "--data", data) as demo:
        page = chromium().new_context(reduced_motion="reduce").new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(demo.address)
        page.wait_for_selector("#paradigm option", state="attached")
        page.set_input_files("#file", sorted((data / "ravdess").rglob("*.flac"))[0])
        page.wait_for_selector("text=as it is")
        for paradigm in page.eval_on_selector_all("#paradigm option", "options => options.map(each => each.value)"):
            page.select_option("#paradigm", paradigm)
            emotions = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
            events = ("car_horn", "dog_bark", "gun_shot", "siren")  # the task of learnt representations
            assert answer(page) in (events if paradigm == "adversarial" else emotions)
            assert "of 0" not in page.text_content("#sides")
        page.select_option("#paradigm", "mpc")
        page.check("#cheat")
        page.wait_for_selector("#place-label:not([hidden])")
        assert answer(page) == "caught"
