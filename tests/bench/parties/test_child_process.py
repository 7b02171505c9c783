"""A job in a process of its own: what it says, how it fails, and that it is always ended."""

from __future__ import annotations

import os
import signal
import time

import msgspec
import psutil
import pytest

from sotto.bench.parties.child_process import ChildError, ChildProcess, expect, send


class Word(msgspec.Struct, tag=True):
    text: str


class Number(msgspec.Struct, tag=True):
    value: int


def echo(pipe, greeting):
    send(pipe, Word(f"{greeting} {os.environ['OMP_NUM_THREADS']}"))
    while True:
        send(pipe, Number(expect(pipe, Word | Number, Number).value + 1))


def fail(pipe):
    raise ValueError("the model takes\n40 coefficients")


def die(pipe):
    send(pipe, Word("last"))
    os._exit(9)


def stay(pipe):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    send(pipe, Word("here"))
    time.sleep(1000)


def child(job, *arguments, **options):
    return ChildProcess(job, *arguments, says=Word | Number, name="worker", **options)


@pytest.mark.parametrize("modules", [(), ("sotto.bench.parties.child_process",)])
def test_a_job_gets_its_arguments_and_one_thread_and_answers(modules):
    with child(echo, "hello", modules=modules) as running:
        assert running.receive(60) == Word("hello 1")
        for value in (1, 41):
            running.send(Number(value))
            assert running.receive(60) == Number(value + 1)
        pid = running.pid
    assert not psutil.pid_exists(pid)


def test_a_job_that_fails_says_why_on_one_line_and_its_trace_is_a_note():
    with child(fail) as running, pytest.raises(ChildError) as caught:
        running.receive(60)
    assert str(caught.value) == "worker: the model takes 40 coefficients"
    assert caught.value.kind == "ValueError"
    assert "in fail" in caught.value.__notes__[0]
    assert running.exit_code() == 1


def test_what_a_job_hears_out_of_turn_is_an_error():
    with child(echo, "hello") as running:
        running.receive(60)
        running.send(Word("no number"))
        with pytest.raises(ChildError) as caught:
            running.receive(60)
    assert caught.value.kind == "WrongState"


def test_what_a_process_said_before_it_died_is_heard_and_then_its_code():
    with child(die) as running:
        running.exit_code(60)
        assert running.receive(1) == Word("last")
        with pytest.raises(ChildError) as caught:
            running.receive(1)
    assert (caught.value.kind, caught.value.code) == ("died", 9)


def test_a_silent_process_is_told_from_a_dead_one_and_is_killed_though_it_will_not_end():
    with child(stay) as running:
        assert running.receive(60) == Word("here")
        with pytest.raises(ChildError) as caught:
            running.receive(0.1)
        assert (caught.value.kind, caught.value.code) == ("silent", None)
        running.end(seconds=0.1)
        assert running.exit_code() == -signal.SIGKILL
