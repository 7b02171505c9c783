import os
import stat

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.keyed import KEY_TYPES, KeyFileError, generate_key, load_key, save_key
from tests.error_codes import raises_code


@pytest.fixture
def written(tmp_path):
    path = tmp_path / "alice.key"
    save_key(path, generate_key("shuffling", 5, seed=1))
    return path


def rewrite(path, **changes):
    content = msgspec.msgpack.decode(path.read_bytes())
    content.update(changes)
    path.write_bytes(msgspec.msgpack.encode(content))


@pytest.mark.parametrize("kind", KEY_TYPES)
@pytest.mark.parametrize(("size", "dimension"), [(2, 1), (10, 1), (3, 2), (8, 2)])
def test_round_trip(tmp_path, kind, size, dimension):
    key = generate_key(kind, size, dimension)
    save_key(tmp_path / "k", key)
    found = load_key(tmp_path / "k")
    assert found == key
    assert found.fingerprint == key.fingerprint
    assert found.values.dtype == key.values.dtype


def test_sizes_in_numpys_integers(tmp_path):
    key = generate_key("rom", np.int64(3), np.int32(1))
    save_key(tmp_path / "k", key)
    assert load_key(tmp_path / "k") == key


def test_only_the_owner_may_read(written):
    assert stat.S_IMODE(written.stat().st_mode) == 0o600


def test_mode_does_not_depend_on_the_umask(tmp_path):
    before = os.umask(0)
    try:
        save_key(tmp_path / "k", generate_key("flipping", 5))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600


def test_never_overwritten(written):
    before = written.read_bytes()
    with raises_code(KeyFileError, "exists", match="never overwritten"):
        save_key(written, generate_key("shuffling", 5))
    assert written.read_bytes() == before


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with raises_code(KeyFileError, "cannot-write", match="no space"):
        save_key(tmp_path / "k", generate_key("flipping", 5))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_keys_open_to_others_are_refused(written, mode):
    written.chmod(mode)
    with raises_code(KeyFileError, "key-readable", match="chmod 600"):
        load_key(written)


def test_missing_and_not_a_file(tmp_path):
    with raises_code(KeyFileError, "cannot-read", match="cannot be read"):
        load_key(tmp_path / "none")
    with raises_code(KeyFileError, "wrong-file"):
        load_key(tmp_path)
    with raises_code(KeyFileError, "cannot-write"):
        save_key(tmp_path / "none" / "k", generate_key("flipping", 5))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.timeout(10)
def test_a_named_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "k", 0o600)
    with raises_code(KeyFileError, "wrong-file"):
        load_key(tmp_path / "k")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"format": "other"},
        {"kind": "rot13"},
        {"block_size": 6},
        {"block_size": 1 << 40},
        {"block_size": -5},
        {"dimension": 2},
        {"dimension": 3},
        {"values": b""},
        {"values": b"\xff" * 20},
        {"values": np.arange(5, dtype="<u4").tobytes()},
        {"salt": b"short"},
        {"salt": bytes(32)},
        {"fingerprint": "0" * 32},
        {"extra": 1},
        {"kind": "flipping"},
        {"kind": "rom", "block_size": 4096, "values": b"\0" * 8},
    ],
)
def test_changed_content_is_refused_in_one_line(written, changes):
    rewrite(written, **changes)
    with pytest.raises(KeyFileError) as caught:
        load_key(written)
    assert str(written) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_exchanged_value_is_noticed(tmp_path):
    save_key(tmp_path / "k", generate_key("flipping", 8, seed=3))
    values = msgspec.msgpack.decode((tmp_path / "k").read_bytes())["values"]
    rewrite(tmp_path / "k", values=bytes([values[0] ^ 1]))
    with raises_code(KeyFileError, "damaged"):
        load_key(tmp_path / "k")


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=300))
def test_noise_is_no_key(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("noise") / "k"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(KeyFileError):
        load_key(path)


def test_huge_files_are_not_read(tmp_path):
    path = tmp_path / "k"
    with path.open("wb") as file:
        file.truncate(1 << 32)  # sparse
    path.chmod(0o600)
    with raises_code(KeyFileError, "wrong-file"):
        load_key(path)
