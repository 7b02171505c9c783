import copy
import os
import pickle
import stat
import traceback

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file
from scipy.stats import kstest

from sotto.hashing import HashKey, HashParameters, KeyFileError
from sotto.hashing.tensor_file import _RECORD
from sotto.link import BadType
from tests.error_codes import raises_code

PARAMETERS = HashParameters(6, k=3, delta=2.0, measurements_per_coefficient=4)


@pytest.fixture
def made():
    return HashKey.generate(PARAMETERS, seed=1)


@pytest.fixture
def saved(made, tmp_path):
    path = tmp_path / "key.safetensors"
    made.save(path)
    return path


def test_what_is_saved_comes_back(made, saved):
    loaded = HashKey.load(saved)
    assert loaded == made
    assert loaded.parameters == PARAMETERS
    assert np.array_equal(loaded.matrix, made.matrix)
    assert np.array_equal(loaded.dither, made.dither)


def test_distributions_of_both_dithers():
    for dither, width in (("full", 6.0), ("paper", 3.0)):
        drawn = HashKey.generate(HashParameters(40, delta=2.0, dither=dither), seed=2)
        assert kstest(drawn.dither / width, "uniform").pvalue > 0.001
        assert kstest(drawn.matrix.ravel(), "norm").pvalue > 0.001


def test_seeds_repeat_and_parameters_and_fresh_keys_differ(made):
    assert HashKey.generate(PARAMETERS, seed=1) == made
    others = [
        HashKey.generate(PARAMETERS, seed=2),
        HashKey.generate(HashParameters(6, 3, 2.5, 4), seed=1),
        HashKey.generate(PARAMETERS),
        HashKey.generate(PARAMETERS),
    ]
    assert len({made.fingerprint, *(other.fingerprint for other in others)}) == 5
    assert not np.allclose(others[1].matrix, made.matrix)


def test_the_key_is_read_only(made):
    with pytest.raises(ValueError, match="read-only"):
        made.matrix[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        made.dither[0] = 0
    with pytest.raises(AttributeError):
        made.secret = 1


def test_the_key_is_in_no_text_and_no_pickle(made):
    shown = repr(made) + str(made)
    assert made.fingerprint in shown
    for number in (*made.matrix.ravel(), *made.dither):
        assert f"{number:.4f}" not in shown
    for attempt in (pickle.dumps, lambda it: pickle.dumps(it, 0), lambda it: pickle.dumps({"model": [it]})):
        with raises_code(BadType, "never-pickled"):
            attempt(made)


def test_copies_are_the_key_itself(made):
    assert copy.copy(made) is made
    assert copy.deepcopy([made])[0] is made


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_only_the_owner_can_open_the_file(saved):
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    saved.chmod(0o640)
    with raises_code(KeyFileError, "key-readable", match="chmod 600"):
        HashKey.load(saved)


def test_a_key_file_is_never_overwritten(saved):
    before = saved.read_bytes()
    with raises_code(KeyFileError, "exists", match="never overwritten"):
        HashKey.generate(PARAMETERS).save(saved)
    assert saved.read_bytes() == before


def test_a_folder_that_is_not_there_is_one_line(made, tmp_path):
    with raises_code(KeyFileError, "cannot-write", match="cannot be written"):
        made.save(tmp_path / "nowhere" / "key")


def rewritten(path, change):
    """The key file with its record or tensors changed."""
    tensors = {name: tensor.copy() for name, tensor in load_file(path).items()}
    length = int.from_bytes(path.read_bytes()[:8], "little")
    about = msgspec.json.decode(path.read_bytes()[8 : 8 + length])["__metadata__"]
    record = msgspec.json.decode(about[_RECORD])
    change(record, tensors)
    save_file(tensors, path, metadata={_RECORD: msgspec.json.encode(record).decode()})
    path.chmod(0o600)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda record, tensors: tensors["matrix"].__setitem__((0, 0), 1.0), "damaged"),
        (lambda record, tensors: tensors["dither"].__setitem__(0, 1.0), "damaged"),
        (lambda record, tensors: tensors["dither"].__setitem__(0, 99.0), "bad-key"),
        (lambda record, tensors: tensors["matrix"].__setitem__((0, 0), np.nan), "bad-key"),
        (lambda record, tensors: tensors.update(matrix=tensors["matrix"][:-1]), "bad-key"),
        (lambda record, tensors: tensors.update(matrix=tensors["matrix"].astype(np.float32)), "bad-key"),
        (lambda record, tensors: tensors.update(more=tensors["dither"]), "wrong-file"),
        (lambda record, tensors: tensors.pop("dither"), "wrong-file"),
        (lambda record, tensors: record.update(version=2), "wrong-file"),
        (lambda record, tensors: record.update(more=1), "wrong-file"),
        (lambda record, tensors: record["parameters"].update(k=99), "wrong-file"),
        (lambda record, tensors: record["parameters"].update(delta=2.5), "damaged"),
        (lambda record, tensors: record.update(fingerprint="0" * 32), "damaged"),
    ],
)
def test_tampered_files_are_refused_in_one_line_that_names_them(saved, change, reason):
    rewritten(saved, change)
    with raises_code(KeyFileError, reason) as caught:
        HashKey.load(saved)
    assert str(saved) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x00" * 8, b"\xff" * 100, b"{}", b"\x02\0\0\0\0\0\0\0{}"])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with raises_code(KeyFileError, "wrong-file", match="no HashKey file"):
        HashKey.load(path)


@pytest.mark.parametrize("name", ["missing", "."])
def test_nothing_to_read_is_one_line(tmp_path, name):
    with pytest.raises(KeyFileError):
        HashKey.load(tmp_path / name)


def test_every_cut_of_a_file_is_refused(saved):
    whole = saved.read_bytes()
    for size in range(0, len(whole), 97):
        saved.write_bytes(whole[:size])
        with pytest.raises(KeyFileError):
            HashKey.load(saved)


def test_no_secret_in_the_traceback_of_a_failure(made, tmp_path):
    try:
        pickle.dumps(made)
    except TypeError:
        text = traceback.format_exc()
    assert not any(f"{number:.6f}" in text for number in made.matrix.ravel())
