import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from sotto.audio import BrokenClip, Clip, Corpus, cache
from sotto.audio.features import MFCC, EGeMAPS, MeanMFCC, Waveform, extract, extract_each
from sotto.audio.reading import read
from sotto.link import BadValue
from tests.error_codes import raises_code


@pytest.fixture
def corpus(tmp_path, record) -> Corpus:
    paths = [record(tmp_path / "corpus" / f"{i:02d}.wav", seed=i, seconds=0.3 + 0.01 * i) for i in range(12)]
    return Corpus("test", tuple(Clip(id=path.stem, path=path) for path in paths))


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_rows_are_the_clips_in_order(corpus):
    spec = MFCC(13, frames=40)
    found = extract(corpus, spec, jobs=1)
    assert found.shape == (12, 13, 40)
    assert found.dtype == np.float32
    with threadpool_limits(limits=1):  # as extraction does: with more threads a sum has other last bits
        for clip, row in zip(corpus, found, strict=True):
            assert np.array_equal(row, spec.compute(read(clip, spec.sample_rate)))


def test_workers_compute_what_one_process_computes(corpus, monkeypatch, tmp_path):
    spec = MeanMFCC(20)
    here = extract(corpus, spec, jobs=1)
    monkeypatch.setenv("SOTTO_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(MeanMFCC, "seconds_each", 10.0)
    assert np.array_equal(extract(corpus, spec, jobs=2), here)


def test_the_second_time_says_that_it_reuses(corpus, caplog, monkeypatch):
    caplog.set_level(logging.INFO, "sotto")
    first = extract(corpus, MeanMFCC(20))
    assert messages(caplog) == ["test: computed mean-mfcc features of 12 clips"]
    caplog.clear()
    monkeypatch.setattr(MeanMFCC, "compute", lambda *_: pytest.fail("computed again"))
    assert np.array_equal(extract(corpus, MeanMFCC(20)), first)
    assert messages(caplog) == ["test: reused mean-mfcc features of 12 clips"]


def test_other_parameters_other_content_and_other_libraries_are_not_reused(corpus, caplog, monkeypatch, record):
    caplog.set_level(logging.INFO, "sotto")
    extract(corpus, MeanMFCC(20))
    caplog.clear()
    extract(corpus, MeanMFCC(21))
    assert corpus[3].path is not None
    record(corpus[3].path, seed=99)
    extract(corpus, MeanMFCC(20))
    monkeypatch.setattr("sotto.audio.features.spec.version", lambda _: "0.0.0")
    extract(corpus, MeanMFCC(20))
    assert messages(caplog) == [
        "test: computed mean-mfcc features of 12 clips",
        "test: reused mean-mfcc features of 11 clips",
        "test: computed mean-mfcc features of 1 clips",
        "test: computed mean-mfcc features of 12 clips",
    ]


def test_a_damaged_entry_is_computed_again(corpus, caplog):
    first = extract(corpus, MeanMFCC(20))
    entry = next(cache.root().rglob("*.safetensors"))
    entry.write_bytes(entry.read_bytes()[:-1])
    caplog.set_level(logging.INFO, "sotto")
    assert np.array_equal(extract(corpus, MeanMFCC(20)), first)
    assert sum("discarded" in message for message in messages(caplog)) == 1
    assert "test: computed mean-mfcc features of 1 clips" in messages(caplog)


def test_waveforms_are_not_cached(corpus):
    extract(corpus, Waveform(0.2))
    assert not list(cache.root().rglob("*.safetensors"))


def test_a_broken_clip_is_named_and_the_others_are_kept_for_next_time(corpus, caplog):
    assert corpus[5].path is not None
    corpus[5].path.write_bytes(b"RIFF")
    with raises_code(BrokenClip, "cannot-decode", match=r"05\.wav: cannot be decoded"):
        extract(corpus, MeanMFCC(20))
    caplog.set_level(logging.INFO, "sotto")
    assert extract(corpus.select(lambda clip: clip.id != "05"), MeanMFCC(20)).shape == (11, 20)
    assert "test: reused mean-mfcc features of 11 clips" in messages(caplog)


def test_features_that_are_not_finite_are_a_fault_of_the_clip(corpus, monkeypatch):
    monkeypatch.setattr(MeanMFCC, "compute", lambda *_: np.full(20, np.nan, np.float32))
    with raises_code(BrokenClip, "not-finite", match=r"00\.wav: its mean-mfcc features are not finite"):
        extract(corpus, MeanMFCC(20))


def test_lengths_may_differ_only_one_by_one(corpus):
    rows = extract_each(corpus, MFCC(13, frames=None))
    assert len({row.shape[1] for row in rows}) > 1
    with raises_code(BadValue, "lengths-differ"):
        extract(corpus, MFCC(13, frames=None))


def test_no_clips_is_an_error():
    with raises_code(BadValue, "no-clips"):
        extract(Corpus("test", ()), MeanMFCC(20))


INTERRUPTED = """
import signal
import sys
from pathlib import Path
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs the tests may have had it ignored
from sotto.audio import Clip, Corpus
from sotto.audio.features import EGeMAPS, extract
clips = tuple(Clip(id=p.stem, path=p) for p in sorted(Path(sys.argv[1]).glob("*.wav")))
extract(Corpus("test", clips), EGeMAPS(), jobs=int(sys.argv[2]))
"""


def interrupted(folder, how, jobs):
    """Extract from ``folder`` in a process, interrupt it after five clips, and return its exit status."""
    run = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, str(folder), str(jobs)], stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 90
        while len(list(cache.root().rglob("*.safetensors"))) < 5 and run.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        if run.poll() is None:
            # in a terminal the whole group gets Ctrl-C; kill -9 hits one process, whose workers must end by themselves
            os.killpg(run.pid, how) if how == signal.SIGINT else run.send_signal(how)
        run.wait(timeout=60)
    return run.returncode


@pytest.mark.parametrize(
    ("how", "jobs"),
    [
        (signal.SIGKILL, 1),
        (signal.SIGINT, 2),
        pytest.param(signal.SIGKILL, 2, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_extraction_goes_on_where_it_stopped(how, jobs, tmp_path, record, caplog):
    folder = tmp_path / "corpus"
    paths = []
    for clips in (
        120,
        240,
        480,
        960,
    ):  # on a busy machine it may end before this process looks again: then more of them
        paths += [record(folder / f"{i:03d}.wav", seed=i, seconds=1.0) for i in range(len(paths), clips)]
        if interrupted(folder, how, jobs) != 0:
            break
        shutil.rmtree(cache.root())
    else:
        pytest.fail("it finished four times before it could be interrupted")
    corpus = Corpus("test", tuple(Clip(id=path.stem, path=path) for path in paths[:40]))
    caplog.set_level(logging.INFO, "sotto")
    found = extract(corpus, EGeMAPS(), jobs=1)
    assert np.array_equal(found[0], EGeMAPS().compute(read(corpus[0])))
    assert not [message for message in messages(caplog) if "discarded" in message]
    reused = [message for message in messages(caplog) if "reused" in message]
    assert reused
    assert int(reused[0].split()[-2]) >= 5


@pytest.mark.slow
def test_processes_extracting_at_once_do_not_disturb_each_other(tmp_path, record):
    folder = tmp_path / "corpus"
    for i in range(20):
        record(folder / f"{i:03d}.wav", seed=i, seconds=0.5)
    runs = [subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(folder), "1"]) for _ in range(2)]
    assert [run.wait(timeout=120) for run in runs] == [0, 0]
    entries = [path for path in Path(cache.root()).rglob("*") if path.is_file()]
    assert len(entries) == 20
