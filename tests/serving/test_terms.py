"""Terms, front ends and the handshake's messages: what is agreed on, and what malformed input gives."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.audio import Clip
from sotto.audio.features import MFCC, EGeMAPS
from sotto.hashing import DiscriminantFeatures
from sotto.link import Array, FrameError, LinkError, encode
from sotto.models import Normalisation
from sotto.serving.handshake import Hello, Refused, Welcome, new_session, read_hello, read_welcome, require_fit
from sotto.serving.terms import (
    FrontEnd,
    Terms,
    TermsError,
    normalisation_of,
    read_front,
    read_terms,
    statistics_of,
    write_terms,
)
from tests.error_codes import raises_code

TERMS = Terms(
    paradigm="mpc", mode="malicious", model="frames", input_shape=(40, 188), classes=("calm", "angry"),
    front=FrontEnd(MFCC(40, frames=188).to_record()), parameters={"fraction bits": 16},
)  # fmt: skip


@given(st.binary(max_size=300))
def test_nonsense_is_refused_in_one_line(data):
    for read in (read_hello, lambda data: read_welcome(data, "bob")):
        with pytest.raises(LinkError) as error:
            read(data)
        assert "\n" not in str(error.value)


@given(st.data())
def test_a_changed_hello_is_a_hello_or_one_line(data):
    good = bytearray(encode(Hello(role="alice", paradigm="he", mode="packed", session=new_session())))
    place = data.draw(st.integers(0, len(good) - 1))
    good[place] = data.draw(st.integers(0, 255))
    said = ""
    try:
        read_hello(good)
    except FrameError as error:
        said = str(error)
    assert "\n" not in said


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": tuple(map(str, range(2000)))},
        {"input_shape": (1 << 20, 1 << 20)},
        {"input_shape": (0,)},
        {"classes": ("a\x1b[2J", "b")},
    ],
)
def test_impossible_terms_are_refused(changes):
    terms = msgspec.structs.replace(TERMS, **changes)
    with raises_code(FrameError, "bad-terms", match="bob: the service"):
        read_welcome(encode(Welcome(1, terms)), "bob")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ""),
        ({"mode": "semi-honest"}, "mode is 'semi-honest', not 'malicious'"),
        ({"input_shape": (40, 94)}, "input shape is '40 × 94', not '40 × 188'"),
        ({"parameters": {"fraction bits": 20}}, "fraction bits is 20, not 16"),
        ({"front": None}, "the front end is another one"),
    ],
)
def test_a_difference_is_named_and_changes_the_fingerprint(changes, said):
    other = msgspec.structs.replace(TERMS, **changes)
    assert TERMS.difference(other) == said
    assert (TERMS.fingerprint == other.fingerprint) == (not said)


def test_what_fits_fits():
    hello = Hello(role="alice", paradigm="mpc", mode=TERMS.mode, session=new_session(), terms=TERMS.fingerprint)
    require_fit(hello, TERMS)
    with raises_code(Refused, "other-mode", match="alice wants mode ''"):
        require_fit(msgspec.structs.replace(hello, mode=""), TERMS)
    with raises_code(Refused, "other-terms"):
        require_fit(msgspec.structs.replace(hello, terms="0" * 32), TERMS)


def test_terms_and_front_ends_survive_their_files(tmp_path):
    values = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
    front = FrontEnd(EGeMAPS().to_record(), statistics_of(Normalisation.standard(values, clip=3.0)))
    write_terms(tmp_path, TERMS, front)
    assert read_terms(tmp_path) == TERMS
    kept = read_front(tmp_path)
    assert kept == front
    expected = Normalisation.standard(values, clip=3.0).transform(values)
    assert np.array_equal(normalisation_of(kept.statistics).transform(values), expected)
    (tmp_path / "terms.json").write_text("{}")
    with raises_code(TermsError, "wrong-release"):
        read_terms(tmp_path)


def test_the_directions_of_hashing_are_a_front_end(monkeypatch):
    from sotto.hashing.experiment import with_directions

    generator = np.random.default_rng(1)
    rows, labels = generator.normal(size=(60, 88)), generator.integers(0, 3, 60)
    directions = DiscriminantFeatures().fit(rows, labels)
    front = with_directions(FrontEnd(EGeMAPS().to_record()), directions)
    row = rows[:1].astype("float32")
    monkeypatch.setattr(EGeMAPS, "compute", lambda self, samples: row[0])
    found = front.compute(Clip(id="a", samples=np.ones(16000, "float32"), rate=16000))
    assert np.allclose(found, directions.transform(row), atol=1e-5)


@pytest.mark.parametrize(
    "record",
    [
        {"kind": "mfcc"},
        {"kind": "nonsense"},
        {},
        {**MFCC(40, frames=188).to_record(), "frames": 1 << 20},
        {**MFCC(40, frames=188).to_record(), "frames": None},
        {**MFCC(40, frames=188).to_record(), "n_fft": 1 << 16, "hop": 1},  # minutes, or tens of GiB, by what was said
    ],
)
def test_front_ends_that_bob_makes_up_are_refused(record):
    with pytest.raises(TermsError):
        FrontEnd(record).spec()


def test_a_front_end_that_does_not_fit_its_feature_is_one_line(monkeypatch):
    monkeypatch.setattr(EGeMAPS, "compute", lambda self, samples: np.zeros(88, "float32"))
    bad = FrontEnd(EGeMAPS().to_record(), origin=Array.of(np.zeros(3)), matrix=Array.of(np.zeros((3, 2))))
    with raises_code(TermsError, "front-end-misfit"):
        bad.compute(Clip(id="a", samples=np.ones(16000, "float32"), rate=16000))
