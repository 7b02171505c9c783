from pathlib import Path

import numpy as np

from sotto.audio import Clip
from sotto.link import BadValue
from tests.error_codes import raises_code


def test_a_clip_is_a_file_or_samples_but_not_both_or_neither():
    with raises_code(BadValue, "path-or-samples"):
        Clip(id="a")
    with raises_code(BadValue, "path-or-samples"):
        Clip(id="a", path=Path("a.wav"), samples=np.zeros(3), rate=8000)
    with raises_code(BadValue, "wrong-rate"):
        Clip(id="a", samples=np.zeros(3))


def test_labels_are_fields_or_extras_as_text():
    clip = Clip(id="a", path=Path("a.wav"), emotion="sad", fold=3, extra={"turn": "7"})
    assert [clip.label(name) for name in ("emotion", "fold", "turn", "digit", "nonsense")] == [
        "sad",
        "3",
        "7",
        None,
        None,
    ]


def test_clips_hash_and_compare_without_their_samples():
    one = Clip(id="a", samples=np.zeros(3), rate=8000, extra={"x": "1"})
    other = Clip(id="a", samples=np.ones(3), rate=8000, extra={"x": "1"})
    assert one == other
    assert len({one, other}) == 1
    assert "array" not in repr(one)
