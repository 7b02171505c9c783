"""Every loader on a small tree with the true names of its corpus; the real corpora where SOTTO_DATA names them."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile

from sotto.audio import CORPORA, BrokenClip, Corpus, CorpusError, MissingLabel, Trial, WrongFolder, load_corpus, read
from sotto.audio.splits import default_split, published_folds, published_split, speaker_folds
from tests.error_codes import raises_code


def lines(path: Path, *rows: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def by_id(corpus: Corpus) -> dict:
    return {clip.id: clip for clip in corpus}


# ── RAVDESS ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def ravdess(tmp_path, record) -> Path:
    for i, name in enumerate(
        ["Actor_01/03-01-01-01-01-01-01", "Actor_01/03-01-05-02-02-01-01", "Actor_02/03-01-08-01-02-02-02"]
    ):
        record(tmp_path / "RAVDESS" / f"{name}.wav", seed=i)
    return tmp_path / "RAVDESS"


def test_ravdess_labels_come_from_the_name(ravdess):
    clip = by_id(load_corpus("ravdess", ravdess))["03-01-05-02-02-01-01"]
    assert (clip.speaker, clip.sex, clip.emotion, clip.intensity) == ("01", "male", "angry", "strong")
    assert (clip.sentence, clip.transcript) == ("02", "Dogs are sitting by the door")
    assert by_id(load_corpus("ravdess", ravdess))["03-01-08-01-02-02-02"].sex == "female"


def test_ravdess_keeps_one_of_two_identical_recordings_and_says_so(ravdess):
    twin = ravdess / "Actor_01" / "03-01-05-02-02-02-01.wav"
    twin.write_bytes((ravdess / "Actor_01" / "03-01-05-02-02-01-01.wav").read_bytes())
    corpus = load_corpus("ravdess", ravdess)
    assert len(corpus) == 3
    assert corpus.remarks == (f"dropped {twin}: the same audio as {ravdess / 'Actor_01' / '03-01-05-02-02-01-01.wav'}",)


def test_ravdess_unpacked_twice_is_the_same_corpus(ravdess, tmp_path):
    once = load_corpus("ravdess", ravdess)
    for path in list(ravdess.rglob("*.wav")):
        again = ravdess / "audio_speech_actors_01-24" / path.relative_to(ravdess)
        again.parent.mkdir(parents=True, exist_ok=True)
        again.write_bytes(path.read_bytes())
    assert sorted(by_id(load_corpus("ravdess", ravdess))) == sorted(by_id(once))


def test_ravdess_song_is_left_out(ravdess, record):
    record(ravdess / "Actor_01" / "03-02-01-01-01-01-01.wav", seed=9)
    corpus = load_corpus("ravdess", ravdess)
    assert len(corpus) == 3
    assert "1 song" in corpus.remarks[0]


@pytest.mark.parametrize("name", ["03-01-09-01-01-01-01", "03-01-01-03-01-01-01", "03-01-01-01-03-01-01", "hello"])
def test_ravdess_files_without_a_known_label_are_named_and_can_be_skipped(ravdess, record, name, caplog):
    path = record(ravdess / "Actor_01" / f"{name}.wav", seed=9)
    with pytest.raises(MissingLabel) as caught:
        load_corpus("ravdess", ravdess)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(load_corpus("ravdess", ravdess, skip_broken=True)) == 3
    assert caplog.text.count("skipped") == 1


def test_hidden_files_are_ignored(ravdess):
    (ravdess / "Actor_01" / "._03-01-01-01-01-01-01.wav").write_bytes(b"mac")
    assert len(load_corpus("ravdess", ravdess)) == 3


# ── which folder is meant ───────────────────────────────────────────────────────────────────────────────────────────


def test_data_is_the_folder_or_a_folder_of_several(ravdess, tmp_path, record):
    record(tmp_path / "free-spoken-digit-dataset" / "recordings" / "7_jackson_32.wav")
    direct = load_corpus("ravdess", ravdess)
    assert load_corpus("ravdess", tmp_path).clips == direct.clips
    assert load_corpus("RAVDESS", tmp_path).clips == direct.clips
    assert len(load_corpus("fsdd", tmp_path)) == 1
    with raises_code(WrongFolder, "other-corpus", match=r"holds RAVDESS, free-spoken-digit-dataset, but no EmoDB"):
        load_corpus("emodb", tmp_path)


@pytest.mark.parametrize("name", [name for name in CORPORA if name != "synthetic"])
def test_a_wrong_folder_is_one_line_that_names_it(name, tmp_path, ravdess):
    (tmp_path / "empty").mkdir()
    file = lines(tmp_path / "file.txt", "x")
    for root in (tmp_path / "empty", tmp_path / "nowhere", file):
        with pytest.raises(CorpusError) as caught:
            load_corpus(name, root)
        assert str(caught.value).startswith(str(root))
        assert "\n" not in str(caught.value)
    with raises_code(WrongFolder, "no-folder-named"):
        load_corpus(name, None)


def test_an_unknown_corpus_lists_the_known_ones():
    with raises_code(CorpusError, "unknown-corpus", match="no corpus is called nope; known are synthetic, ravdess"):
        load_corpus("nope")


def test_an_empty_file_is_noticed_at_once_and_a_damaged_one_when_skipping(ravdess, caplog):
    damaged = ravdess / "Actor_02" / "03-01-08-01-02-02-02.wav"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    assert len(load_corpus("ravdess", ravdess)) == 3
    assert len(load_corpus("ravdess", ravdess, skip_broken=True)) == 2
    assert f"skipped: {damaged}: is truncated" in caplog.text
    damaged.write_bytes(b"")
    with raises_code(BrokenClip, "empty-file", match=r"03-01-08-01-02-02-02\.wav: is empty"):
        load_corpus("ravdess", ravdess)


# ── speech ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_emodb(tmp_path, record):
    record(tmp_path / "wav" / "03a01Fa.wav", seed=1)
    record(tmp_path / "wav" / "16b10Wb.wav", seed=2)
    corpus = load_corpus("emodb", tmp_path)
    first, second = corpus
    assert (first.speaker, first.sex, first.emotion, first.sentence) == ("03", "male", "happy", "a01")
    assert (second.speaker, second.sex, second.emotion) == ("16", "female", "angry")
    assert first.transcript is not None
    assert "Eisschrank" in first.transcript
    record(tmp_path / "wav" / "03a01Xa.wav")
    with raises_code(MissingLabel, "unknown-label", match=r"03a01Xa\.wav: emotion X"):
        load_corpus("emodb", tmp_path)


def test_fsdd(tmp_path, record):
    record(tmp_path / "recordings" / "7_jackson_32.wav", rate=8000)
    record(tmp_path / "recordings" / "0_yweweler_4.wav", rate=8000)
    corpus = by_id(load_corpus("fsdd", tmp_path))
    clip = corpus["7_jackson_32"]
    assert (clip.digit, clip.speaker, clip.transcript, clip.extra["take_split"]) == ("7", "jackson", "seven", "train")
    assert corpus["0_yweweler_4"].extra["take_split"] == "test"
    assert read(clip, 16000).size == 2 * read(clip, None).size


@pytest.fixture
def librispeech(tmp_path, record) -> Path:
    root = tmp_path / "LibriSpeech"
    for i, name in enumerate(["test-other/1688/142285/1688-142285-0000", "train-clean-100/19/198/19-198-0001"]):
        record(root / f"{name}.flac", seed=i)
    lines(root / "test-other/1688/142285/1688-142285.trans.txt", "1688-142285-0000 THERE'S IRON THEY SAY")
    lines(root / "train-clean-100/19/198/19-198.trans.txt", "19-198-0000 NORTHANGER ABBEY", "19-198-0001 THIS WORK")
    lines(
        root / "SPEAKERS.TXT",
        ";ID  |SEX| SUBSET           |MINUTES| NAME",
        "19   | F | train-clean-100  | 25.19 | Kara Shallenberg",
        "60   | M | train-clean-100  | 20.18 | |CBW|Simon",
        "1688 | M | test-other       | 8.0 | Someone",
    )
    return root


def test_librispeech_as_published(librispeech):
    corpus = by_id(load_corpus("librispeech", librispeech.parent))
    one, other = corpus["1688-142285-0000"], corpus["19-198-0001"]
    assert (one.speaker, one.sex, one.transcript) == ("1688", "male", "THERE'S IRON THEY SAY")
    assert (one.extra["part"], one.extra["subset"], one.extra["chapter"]) == ("test-other", "test", "142285")
    assert (other.sex, other.transcript, other.extra["subset"]) == ("female", "THIS WORK", "train")
    assert published_split(load_corpus("librispeech", librispeech)).test


def test_librispeech_with_a_table_of_transcripts(tmp_path, record):
    record(tmp_path / "test-other" / "1688" / "1688-142285-0000.flac")
    table = lines(tmp_path / "transcripts.tsv", "test-other/1688/1688-142285-0000.flac\tTHERE'S IRON THEY SAY")
    assert load_corpus("librispeech", tmp_path)[0].transcript == "THERE'S IRON THEY SAY"
    lines(table, "test-other/1688/1688-142285-0000.flac no tab")
    with raises_code(MissingLabel, "bad-row", match=r"transcripts\.tsv: line 1"):
        load_corpus("librispeech", tmp_path)


def test_librispeech_flat_without_transcripts(tmp_path, record):
    record(tmp_path / "train-clean-100_1each" / "103-1240-0000.flac")
    corpus = load_corpus("librispeech", tmp_path)
    assert corpus.speakers == ["103"]
    assert corpus[0].extra["subset"] == "train"
    with raises_code(MissingLabel, "no-label", match="has no transcript label"):
        corpus.labels("transcript")


def test_librispeech_names_the_utterance_without_a_transcript(librispeech, record):
    path = record(librispeech / "test-other/1688/142285/1688-142285-0001.flac", seed=5)
    with pytest.raises(MissingLabel) as caught:
        load_corpus("librispeech", librispeech)
    assert str(caught.value).startswith(f"{path}: has no transcript")


@pytest.fixture
def voxceleb1(tmp_path, record) -> Path:
    names = [
        "id10001/1zcIwhmdeo4/00001",
        "id10270/x6uYqmx31kE/00001",
        "id10270/8jEAjG6SegY/00008",
        "id10300/ize_eiCFEg0/00003",
    ]
    for i, name in enumerate(names):
        record(tmp_path / ("dev" if "id10001" in name else "test") / "wav" / f"{name}.wav", seed=i)
    lines(
        tmp_path / "veri_test.txt",
        "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav",
        "0 id10270/x6uYqmx31kE/00001.wav id10300/ize_eiCFEg0/00003.wav",
        "0 id10270/x6uYqmx31kE/00001.wav id10309/0cYFdtyWVds/00005.wav",
    )
    lines(
        tmp_path / "meta" / "vox1_meta.csv",
        "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet",
        "id10001\tA.J._Buckley\tm\tIreland\tdev",
        "id10270\tEartha_Kitt\tf\tUSA\ttest",
    )
    return tmp_path


def test_voxceleb1_has_trials(voxceleb1):
    corpus = load_corpus("voxceleb1", voxceleb1)
    assert corpus.trials == (
        Trial("id10270/x6uYqmx31kE/00001", "id10270/8jEAjG6SegY/00008", same=True),
        Trial("id10270/x6uYqmx31kE/00001", "id10300/ize_eiCFEg0/00003", same=False),
    )
    assert corpus.remarks[0] == "2 trials of veri_test.txt"
    assert "left out 1 trials" in corpus.remarks[1]
    clips = by_id(corpus)
    assert {clips[t.enrolment].speaker == clips[t.test].speaker for t in corpus.trials if t.same} == {True}
    assert [c.sex for c in corpus] == ["male", "female", "female", None]
    assert Counter(corpus.labels("subset")) == {"test": 3, "train": 1}


def test_voxceleb1_prefers_the_cleaned_trials(voxceleb1):
    lines(voxceleb1 / "meta" / "veri_test2.txt", "1 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav")
    assert load_corpus("voxceleb1", voxceleb1).remarks == ("1 trials of veri_test2.txt",)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("2 id10270/x6uYqmx31kE/00001.wav id10270/8jEAjG6SegY/00008.wav", "line 1 is not"),
        ("1 id10270/x6uYqmx31kE/00001.wav", "line 1 is not"),
        ("1 id10270/a/1.wav id10270/b/2.wav", "not one of its trials"),
    ],
)
def test_voxceleb1_bad_trials_are_named(voxceleb1, line, reason):
    lines(voxceleb1 / "veri_test.txt", line)
    with raises_code(CorpusError, ("bad-row", "no-usable-row")):
        load_corpus("voxceleb1", voxceleb1)


# ── sounds ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def esc50(tmp_path, record) -> Path:
    root = tmp_path / "ESC-50-master"
    rows = ["filename,fold,target,category,esc10,src_file,take"]
    for fold in range(1, 6):
        rows.append(f"{fold}-100032-A-0.wav,{fold},0,dog,True,100032,A")
        rows.append(f"{fold}-17367-A-10.wav,{fold},10,clapping,False,17367,A")
    for i, row in enumerate(rows[1:]):
        record(root / "audio" / row.split(",")[0], seed=i)
    lines(root / "meta" / "esc50.csv", *rows)
    return root


def test_esc_as_published(esc50):
    fifty, ten = load_corpus("esc50", esc50), load_corpus("esc10", esc50.parent)
    assert (len(fifty), len(ten)) == (10, 5)
    assert fifty.classes("event") == ("clapping", "dog")
    assert (ten[2].event, ten[2].fold, ten[2].extra["recording"]) == ("dog", 3, "100032")
    assert len(published_folds(ten)) == 5
    assert default_split(fifty).test == (0, 1)


def test_esc_names_what_table_and_folder_do_not_share(esc50, record):
    stray = record(esc50 / "audio" / "1-1-A-0.wav")
    with raises_code(MissingLabel, "not-in-table", match=rf"{stray}: is not in esc50\.csv"):
        load_corpus("esc50", esc50)
    stray.unlink()
    (esc50 / "audio" / "3-100032-A-0.wav").unlink()
    with raises_code(BrokenClip, "cannot-read", match=r"3-100032-A-0\.wav: cannot be read"):
        load_corpus("esc50", esc50)


def test_esc_table_without_a_column(esc50):
    lines(esc50 / "meta" / "esc50.csv", "filename,fold", "1-100032-A-0.wav,1")
    with raises_code(CorpusError, "no-column", match=r"esc50\.csv: has no column category"):
        load_corpus("esc50", esc50)


@pytest.mark.parametrize("folder", ["dog_bark", "001 - Dog bark"])
def test_esc_in_class_folders(tmp_path, record, folder):
    record(tmp_path / folder / "1-100032-A.flac")
    record(tmp_path / "rain" / "5-17367-B-10.wav")
    corpus = load_corpus("esc10", tmp_path)
    assert corpus.classes("event") == ("dog_bark", "rain")
    assert sorted(corpus.labels("fold")) == ["1", "5"]


def test_urbansound8k_as_published(tmp_path, record):
    root = tmp_path / "UrbanSound8K"
    record(root / "audio" / "fold5" / "100032-3-0-0.wav", rate=44100, channels=2)
    record(root / "audio" / "fold10" / "100648-1-0-0.wav", rate=48000)
    lines(
        root / "metadata" / "UrbanSound8K.csv",
        "slice_file_name,fsID,start,end,salience,fold,classID,class",
        "100032-3-0-0.wav,100032,0.0,0.317551,1,5,3,dog_bark",
        "100648-1-0-0.wav,100648,4.823402,5.471927,2,10,1,car_horn",
    )
    corpus = by_id(load_corpus("urbansound8k", tmp_path))
    dog, horn = corpus["100032-3-0-0"], corpus["100648-1-0-0"]
    assert (dog.event, dog.fold, dog.extra) == ("dog_bark", 5, {"recording": "100032", "salience": "foreground"})
    assert (horn.fold, horn.extra["salience"]) == (10, "background")
    assert read(dog).ndim == 1


def test_urbansound8k_in_class_folders(tmp_path, record):
    record(tmp_path / "us8k" / "car_horn" / "fold10_100648-1-0-0.flac")
    record(tmp_path / "us8k" / "gun_shot" / "fold1_174294-6-0-0.flac")
    corpus = by_id(load_corpus("urbansound8k", tmp_path))
    horn = corpus["100648-1-0-0"]
    assert (horn.event, horn.fold, horn.extra["recording"]) == ("car_horn", 10, "100648")
    assert corpus["174294-6-0-0"].event == "gun_shot"
    stray = record(tmp_path / "us8k" / "siren" / "174294-6-0-1.flac")
    with raises_code(MissingLabel, "file-name", match=rf"{stray}: .*its fold is unknown"):
        load_corpus("urbansound8k", tmp_path)


def test_fsd50k(tmp_path, record):
    record(tmp_path / "FSD50K.dev_audio" / "64760.wav", seed=1)
    record(tmp_path / "FSD50K.dev_audio" / "16399.wav", seed=2)
    record(tmp_path / "FSD50K.eval_audio" / "37199.wav", seed=3)
    truth = tmp_path / "FSD50K.ground_truth"
    lines(
        truth / "dev.csv",
        "fname,labels,mids,split",
        '64760,"Electric_guitar,Guitar,Music","/m/02sgy,/m/0342h,/m/04rlf",train',
        '16399,"Bark,Dog","/m/05tny_,/m/0bt9lr",val',
    )
    lines(truth / "eval.csv", "fname,labels,mids", '37199,"Bark,Dog","/m/05tny_,/m/0bt9lr"')
    corpus = load_corpus("fsd50k", tmp_path)
    clip = by_id(corpus)["dev/64760"]
    assert (clip.event, clip.extra["events"]) == ("Electric_guitar", "Electric_guitar,Guitar,Music")
    split = published_split(corpus)
    assert [corpus[i].id for part in (split.train, split.validation, split.test) for i in part] == [
        "dev/64760",
        "dev/16399",
        "eval/37199",
    ]
    (tmp_path / "FSD50K.eval_audio" / "37199.wav").unlink()
    (tmp_path / "FSD50K.eval_audio").rmdir()
    assert "left out the eval set" in load_corpus("fsd50k", tmp_path).remarks[0]
    lines(truth / "dev.csv", "fname,labels,mids,split", "64760,,,train")
    with raises_code(MissingLabel, "bad-row", match=r"dev\.csv: line 2 \(64760\) has no labels"):
        load_corpus("fsd50k", tmp_path)


@pytest.fixture
def sins(tmp_path, record) -> Path:
    for i, name in enumerate(
        [
            "Node1/audio/Node1_20170130_084500_000",  # all of it within working
            "Node1/audio/Node1_20170130_083058_000",  # across other and working
            "Node2/audio/Node2_20170131_090800_500",  # the next day
            "Node13/audio/Node13_20170130_084500_000",  # another room
            "Node3/audio/Node3_20170130_225230_000",  # dont use
        ]
    ):
        record(tmp_path / "audio" / f"{name}_audio.wav", seed=i, seconds=10, rate=8000, channels=4)
    lines(
        tmp_path / "annotation" / "living_labels.csv",
        "Class;Start time;Stop time",
        "other;2017-01-30 08:30:30.868;2017-01-30 08:31:04.548",
        "working;2017-01-30 08:31:04.568;2017-01-30 09:12:03.748",
        "dont use;2017-01-30 22:52:24.008;2017-01-30 22:54:04.888",
        "working;2017-01-31 09:06:53.428;2017-01-31 09:17:58.068",
    )
    lines(
        tmp_path / "annotation" / "bathroom_labels.csv",
        "Class;Start time;Stop time",
        "absence;2017-01-30 04:40:26.368;2017-01-30 09:29:11.848",
    )
    return tmp_path


def test_sins_recordings_take_the_activity_they_lie_within(sins):
    corpus = load_corpus("sins", sins)
    assert {clip.id: (clip.event, clip.extra["room"], clip.fold) for clip in corpus} == {
        "Node1_20170130_084500_000_audio": ("working", "living", 1),
        "Node13_20170130_084500_000_audio": ("absence", "bathroom", 1),
        "Node2_20170131_090800_500_audio": ("working", "living", 2),
    }
    assert corpus.remarks == ("left out 2 recordings that are not within one activity",)


def test_sins_without_its_annotation_says_where_it_is(sins):
    (sins / "annotation" / "bathroom_labels.csv").unlink()
    with raises_code(
        MissingLabel, "no-annotations", match=r"bathroom_labels\.csv: no such file; it is in the repository"
    ):
        load_corpus("sins", sins)
    lines(sins / "annotation" / "bathroom_labels.csv", "Class;Start time;Stop time", "absence;yesterday;today")
    with raises_code(CorpusError, "bad-row", match=r"bathroom_labels\.csv: line 2 has no times"):
        load_corpus("sins", sins)


def test_sins_segments_of_dcase_2018(tmp_path, record):
    record(tmp_path / "audio" / "DevNode1_ex1_1.wav", channels=4)
    record(tmp_path / "audio" / "DevNode2_ex9_3.wav", channels=4)
    lines(tmp_path / "meta.txt", "audio/DevNode1_ex1_1.wav\tabsence\ts1", "audio/DevNode2_ex9_3.wav\tcooking\ts9")
    lines(tmp_path / "evaluation_setup" / "fold2_test.txt", "audio/DevNode1_ex1_1.wav")
    first, second = load_corpus("sins", tmp_path)
    assert (first.event, first.fold, first.extra) == ("absence", 2, {"node": "1", "session": "s1"})
    assert (second.event, second.fold) == ("cooking", None)
    lines(tmp_path / "meta.txt", "audio/DevNode1_ex1_1.wav\tabsence")
    with raises_code(MissingLabel, "bad-row", match=r"meta\.txt: line 1"):
        load_corpus("sins", tmp_path)


# ── anything else ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_manifest_describes_any_corpus(tmp_path, record):
    for name in ("a", "b"):
        record(tmp_path / "calls" / f"{name}.wav")
    table = lines(
        tmp_path / "manifest.csv",
        "path,speaker,emotion,fold,turn",
        "calls/a.wav,caller1,angry,1,3",
        f"{tmp_path / 'calls' / 'b.wav'},caller2,,2,4",
    )
    for root in (tmp_path, table):
        corpus = load_corpus("manifest", root)
        first, second = corpus
        assert (first.id, first.speaker, first.emotion, first.fold, first.extra) == (
            "calls/a.wav",
            "caller1",
            "angry",
            1,
            {"turn": "3"},
        )
        assert second.emotion is None
        with raises_code(MissingLabel, "no-label", match=r"b\.wav: has no emotion"):
            corpus.labels("emotion")


def test_a_manifest_may_be_tab_separated_and_start_with_a_byte_order_mark(tmp_path, record):
    record(tmp_path / "a.wav")
    for name in ("m.tsv", "m.csv"):
        (tmp_path / name).write_bytes("\ufeffpath\tspeaker\na.wav\tx, y\n".encode())
        assert load_corpus("manifest", tmp_path / name)[0].speaker == "x, y"


def test_a_manifest_from_a_spreadsheet(tmp_path, record):
    """Byte order mark, semicolons, CRLF, headings with capitals."""
    record(tmp_path / "a.wav")
    (tmp_path / "m.csv").write_bytes("\ufeffPath;Speaker;EMOTION;Turn\r\na.wav;x, y;angry;3\r\n".encode())
    (clip,) = load_corpus("manifest", tmp_path / "m.csv")
    assert (clip.id, clip.speaker, clip.emotion, clip.extra) == ("a.wav", "x, y", "angry", {"Turn": "3"})


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (["file,speaker", "a.wav,x"], "no-column"),
        ([], "no-column"),
        (["path,Speaker,speaker", "a.wav,x,y"], "column-twice"),
        (["path,speaker", ",x"], "no-path"),
        (["path,fold", "a.wav,first"], "bad-row"),
        (["path"], "no-usable-row"),
        (["path", "gone.wav"], "cannot-read"),
        (["path", "a.wav", "a.wav"], "id-twice"),
    ],
)
def test_a_bad_manifest_is_one_line(tmp_path, record, rows, reason):
    record(tmp_path / "a.wav")
    table = lines(tmp_path / "manifest.csv", *rows)
    with raises_code(CorpusError, reason) as caught:
        load_corpus("manifest", table)
    assert "\n" not in str(caught.value)


def test_a_manifest_that_is_not_text(tmp_path):
    (tmp_path / "manifest.csv").write_bytes(b"path\n\xff\xfe\xff")
    with raises_code(CorpusError, "not-utf8", match=r"manifest\.csv: is not a table of UTF-8 text"):
        load_corpus("manifest", tmp_path)


# ── the real ones ───────────────────────────────────────────────────────────────────────────────────────────────────

DATA = os.environ.get("SOTTO_DATA")
real = pytest.mark.skipif(not DATA, reason="SOTTO_DATA names no folder of real corpora")


def real_corpus(name: str) -> Corpus:
    try:
        return load_corpus(name, Path(DATA or ""))
    except WrongFolder as error:
        pytest.skip(str(error))


@real
def test_real_ravdess():
    corpus = real_corpus("ravdess")
    assert len(corpus) == 1439
    assert Counter(corpus.labels("emotion")) == {"neutral": 96, "happy": 191} | dict.fromkeys(
        ("calm", "sad", "angry", "fearful", "disgust", "surprised"), 192
    )
    assert len(corpus.speakers) == 24
    assert any("03-01-03-01-02-02-07" in remark for remark in corpus.remarks)
    assert len(speaker_folds(corpus, 6)) == 6


@real
@pytest.mark.parametrize(
    ("name", "label", "classes"), [("fsdd", "digit", 10), ("librispeech", "transcript", 100), ("esc10", "event", 10)]
)
def test_other_real_corpora(name, label, classes):
    corpus = real_corpus(name)
    assert len(corpus.classes(label)) >= classes
    assert default_split(corpus).test
    assert read(corpus[0]).size > 1000


@real
@pytest.mark.parametrize("name", ["esc10", "urbansound8k"])
def test_real_folds_share_no_recording(name):
    corpus = real_corpus(name)
    for split in published_folds(corpus):
        split.check(corpus, by="recording")


def test_a_table_can_be_named_in_place_of_a_corpus(tmp_path):
    with raises_code(CorpusError, "no-table"):
        load_corpus(str(tmp_path / "mine.csv"))
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 16000)
    (tmp_path / "mine.csv").write_text("path,speaker\na.wav,someone\n")
    assert load_corpus(str(tmp_path / "mine.csv")).speakers == ["someone"]
