"""A missing listener is one line that says what to install, and loading one leaves torch's threads alone."""

from __future__ import annotations

import sys

import pytest
import torch

from sotto.bench.listeners.packages import ListenersMissing, load


def test_a_missing_package_is_named_with_what_installs_it():
    with pytest.raises(ListenersMissing) as caught:
        load("no_such_listener")
    assert "no_such_listener" in str(caught.value)
    assert "sotto[listeners]" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_package_that_lowers_the_number_of_threads_does_not_change_it_for_others(tmp_path, monkeypatch):
    (tmp_path / "greedy_listener.py").write_text("import torch\ntorch.set_num_threads(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert load("greedy_listener") is sys.modules["greedy_listener"]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
