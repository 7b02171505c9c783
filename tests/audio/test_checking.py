import pytest

from sotto.audio import BrokenClip, Clip, Corpus, check
from tests.error_codes import raises_code


def test_a_check_finds_broken_clips_copies_rates_and_length(tmp_path, record):
    record(tmp_path / "a.wav", seed=1, seconds=0.5)
    record(tmp_path / "b.flac", seed=2, seconds=0.25, rate=8000)
    (tmp_path / "c.wav").write_bytes((tmp_path / "a.wav").read_bytes())
    (tmp_path / "d.wav").write_bytes(b"")
    corpus = Corpus("test", tuple(Clip(id=p.stem, path=p) for p in sorted(tmp_path.iterdir())))
    found = check(corpus)
    assert found.broken == {"d": f"{tmp_path / 'd.wav'}: is empty (0 bytes)"}
    assert found.copies == (("a", "c"),)
    assert found.rates == {16000: 2, 8000: 1}
    assert found.seconds == pytest.approx(1.25)
    assert [clip.id for clip in found.sound()] == ["a", "b", "c"]


def test_dropping_reports_each_clip_and_refuses_to_drop_all(tmp_path, caplog, record):
    record(tmp_path / "a.wav")
    (tmp_path / "b.wav").write_bytes(b"junk")
    corpus = Corpus("test", tuple(Clip(id=n, path=tmp_path / f"{n}.wav") for n in "ab"))
    assert len(check(corpus).report_and_drop()) == 1
    assert caplog.text.count("skipped") == 1
    with raises_code(BrokenClip, "no-usable-clip", match="none of its 1 clips"):
        check(corpus.subset([1])).report_and_drop()
