from __future__ import annotations

import pytest

from sotto.audio import CorpusError
from sotto.bench.claims.claim import Item, Judgement, Verdict
from sotto.bench.reproduction import review as reviewing
from sotto.bench.reproduction.review import corpus_for, review
from sotto.bench.rows.row import Row


class Target:
    DESCRIPTION = "made up"

    def __init__(self, fails=False):
        self.asked, self.fails = [], fails

    def run(self, request):
        self.asked.append((request.corpus, request.data))
        if self.fails:
            raise RuntimeError("the disk\nis full")
        return [
            Row(
                paradigm="plaintext", mode="m", model="n", corpus=request.corpus, seed=0, n_queries=1,
                accuracy_plain=0.5,
            )
        ]  # fmt: skip


def judge(rows):
    return Judgement(Verdict.HOLDS, f"{len(rows)} rows")


def item(target="good", place="Table 1", corpora=("ravdess", "synthetic")):
    return Item("dias", place, target, "A claim.", "Nothing.", judge, corpora)


@pytest.fixture
def targets(monkeypatch):
    made = {"good": Target(), "bad": Target(fails=True)}
    monkeypatch.setattr(reviewing, "TARGETS", made)
    return made


def run(items, out, data=None, reuse=False):
    return list(review(items, data, preset="quick", seed=0, out=out, reuse=reuse, say=lambda line: None))


def test_the_nearest_corpus_at_hand_is_taken(tmp_path):
    (tmp_path / "ravdess").mkdir()
    assert corpus_for(item(), tmp_path) == "ravdess"
    assert corpus_for(item(), None) == "synthetic"
    assert corpus_for(item(corpora=("fsdd",)), tmp_path) is None
    assert corpus_for(item(corpora=()), None) == "none"


def test_a_folder_without_any_corpus_is_refused_before_anything_is_measured(targets, tmp_path):
    (tmp_path / "holiday").mkdir()
    for wrong in (tmp_path / "nowhere", tmp_path / "holiday"):
        with pytest.raises(CorpusError) as refused:
            run([item()], tmp_path, data=wrong)
        assert "\n" not in str(refused.value)
    assert targets["good"].asked == []


def test_it_says_first_what_is_measured_on_which_corpus(targets, tmp_path):
    (tmp_path / "ravdess").mkdir()
    said = []
    items = [item(), item("bad", corpora=("synthetic",)), item("good", corpora=())]
    next(review(items[:2], tmp_path, preset="quick", seed=0, out=tmp_path, reuse=False, say=said.append))
    assert said[:2] == ["on ravdess: good", "on synthetic: bad"]


def test_a_reproduction_runs_once_for_all_its_items(targets, tmp_path):
    found = run([item(), item(place="Table 2")], tmp_path)
    assert targets["good"].asked == [("synthetic", None)]
    assert [each.judgement.verdict for each in found] == [Verdict.HOLDS, Verdict.HOLDS]
    assert (tmp_path / "good" / "results.json").exists()


def test_a_failure_leaves_its_items_open_and_the_others_run(targets, tmp_path):
    bad, good = run([item("bad"), item()], tmp_path)
    assert bad.judgement.verdict is Verdict.OPEN
    assert "the disk is full" in bad.judgement.because
    assert good.judgement.verdict is Verdict.HOLDS


def test_without_its_corpus_an_item_stays_open(targets, tmp_path):
    (found,) = run([item(corpora=("fsdd",))], tmp_path)
    assert found.judgement.verdict is Verdict.OPEN
    assert "fsdd" in found.judgement.because
    assert targets["good"].asked == []


def test_rows_of_an_earlier_run_are_taken_when_asked(targets, tmp_path):
    run([item()], tmp_path)
    (found,) = run([item()], tmp_path, reuse=True)
    assert len(targets["good"].asked) == 1
    assert len(found.rows) == 1


def test_rows_of_synthetic_speech_are_not_taken_for_rows_of_recordings(targets, tmp_path):
    out, data = tmp_path / "out", tmp_path / "data"
    run([item()], out)
    (data / "ravdess").mkdir(parents=True)
    (found,) = run([item()], out, data=data, reuse=True)
    assert [corpus for corpus, _ in targets["good"].asked] == ["synthetic", "ravdess"]
    assert {row.corpus for row in found.rows} == {"ravdess"}
