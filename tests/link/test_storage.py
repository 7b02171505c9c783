"""Files that are private, whole or not there at all, and bounded before they are read."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time

import pytest

from sotto.link import Coded
from sotto.link.storage import opened, partial_path, remove_stale_partials, replacing, write_new, write_whole
from tests.error_codes import raises_code


class Refused(Coded):
    pass


def read(path, most=10, **how):
    with opened(path, most, Refused, "note", **how) as file:
        return file.read()


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_within_the_limit_is_read(tmp_path):
    (tmp_path / "f").write_bytes(b"0123456789")
    assert read(tmp_path / "f") == b"0123456789"
    with raises_code(Refused, "wrong-file", match="is no note"):
        read(tmp_path / "f", most=9)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, code in ((tmp_path, "wrong-file"), (tmp_path / "pipe", "wrong-file"), (tmp_path / "none", "cannot-read")):
        with raises_code(Refused, code):
            read(path)
    with raises_code(Refused, "cannot-read", match=r"No such file.*; make one"):
        read(tmp_path / "none", advice="; make one")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o610, 0o666])
def test_a_secret_that_others_may_open_is_refused(tmp_path, bits):
    (tmp_path / "f").touch()
    (tmp_path / "f").chmod(bits)
    assert read(tmp_path / "f") == b""
    with raises_code(Refused, "key-readable", match="chmod 600"):
        read(tmp_path / "f", private=True)
    (tmp_path / "f").chmod(0o600)
    assert read(tmp_path / "f", private=True) == b""


def test_links_are_followed_only_where_they_may_be(tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    (tmp_path / "link").symlink_to(tmp_path / "f")
    assert read(tmp_path / "link") == b"x"
    with raises_code(Refused, "cannot-read"):
        read(tmp_path / "link", follow=False)


@pytest.mark.parametrize("umask", [0, 0o077, 0o777])
def test_a_new_file_is_for_its_owner_whatever_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_new(tmp_path / "f", b"secret", Refused)
    finally:
        os.umask(before)
    assert not mode(tmp_path / "f") & 0o077


def test_a_new_file_replaces_none_not_even_a_link(tmp_path):
    (tmp_path / "f").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("f", "link"):
        with raises_code(Refused, "exists", match="never overwritten"):
            write_new(tmp_path / name, b"new", Refused)
    assert (tmp_path / "f").read_bytes() == b"old"
    assert not (tmp_path / "nowhere").exists()
    with raises_code(Refused, "cannot-write"):
        write_new(tmp_path / "none" / "f", b"", Refused)


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_half_a_file_is_never_left(tmp_path, monkeypatch, error):
    def full(_):
        raise error

    (tmp_path / "old").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Refused if isinstance(error, OSError) else KeyboardInterrupt):
        write_new(tmp_path / "f", b"new", Refused)
    with pytest.raises(type(error)):
        write_whole(tmp_path / "old", b"new", durable=True)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("old", b"old")]


def test_a_replaced_file_is_the_new_one(tmp_path):
    write_whole(tmp_path / "f", "für alle")
    write_whole(tmp_path / "g", b"\xff", private=True, durable=True)
    with replacing(tmp_path / "f") as partial:
        partial.write_bytes(b"newer")
        assert (tmp_path / "f").read_text("utf-8") == "für alle"
    assert (tmp_path / "f").read_bytes() == b"newer"
    assert mode(tmp_path / "g") == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f", "g"]


def test_a_process_killed_while_it_writes_leaves_the_former_file(tmp_path):
    write_whole(tmp_path / "f", b"old")
    code = (
        "import os, signal, sys; from sotto.link.storage import replacing\n"
        "with replacing(sys.argv[1]) as partial: partial.write_bytes(b'n'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "f")], check=False, timeout=60)
    assert (tmp_path / "f").read_bytes() == b"old"
    (left,) = (path for path in tmp_path.iterdir() if path.name != "f")
    remove_stale_partials(tmp_path)
    assert left.exists()  # somebody may still be writing it
    os.utime(left, (time.time() - 2 * 24 * 3600,) * 2)
    (folder := partial_path(tmp_path / "corpus")).mkdir()
    os.utime(folder, (time.time() - 2 * 24 * 3600,) * 2)
    remove_stale_partials(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
