from __future__ import annotations

import msgspec

from sotto.bench.sweeps.plan import Plan, Setting, corpus_digest

SETTING = Setting("hashing", "manifest", "/here", "quick", 0, False, "corpus", "source")


def test_tasks_are_the_product_with_the_last_axis_fastest():
    plan = Plan(SETTING, {"a": (1, 2), "b": ("x", "y", "z")})
    points = [tuple(task.parameters.values()) for task in plan]
    assert points == [(1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z")]
    assert len(plan) == len(points)


def test_an_address_covers_all_but_where_the_corpus_lies():
    (task,) = Plan(SETTING, {"a": (1,)})
    addresses = {task.address}
    for field, other in {
        "study": "keyed", "corpus": "ravdess", "preset": "full", "seed": 1, "skip_broken": True,
        "corpus_digest": "other", "source_digest": "other",
    }.items():  # fmt: skip
        (changed,) = Plan(msgspec.structs.replace(SETTING, **{field: other}), {"a": (1,)})
        addresses.add(changed.address)
    (point,) = Plan(SETTING, {"a": (2,)})
    assert len(addresses | {point.address}) == 9
    (moved,) = Plan(msgspec.structs.replace(SETTING, data="/there"), {"a": (1,)})
    assert moved.address == task.address


def test_the_corpus_digest_changes_with_one_label_or_one_sample(voices):
    import dataclasses

    from sotto.audio import load_corpus

    corpus = load_corpus("manifest", voices)
    first = corpus.clips[0]
    relabelled = dataclasses.replace(corpus, clips=(dataclasses.replace(first, emotion="sad"), *corpus.clips[1:]))
    swapped = dataclasses.replace(
        corpus, clips=(dataclasses.replace(first, path=corpus.clips[1].path), *corpus.clips[1:])
    )
    assert len({corpus_digest(each) for each in (corpus, relabelled, swapped)}) == 3
    assert corpus_digest(corpus) == corpus_digest(load_corpus("manifest", voices))
