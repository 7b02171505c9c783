"""An argmax over all pairs: the first largest index, for any number of classes, in few rounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from networks_of_two import program_of
from parties import run_both
from torch import nn

from sotto import mpc
from sotto.mpc.two_party.gates.argmax import MOST, Index, Pairs, Signs, Wins, local, rows_of

ROUNDS_OF_A_STAGE = 9  # tables, four levels of a comparison of 50 bits, up to four of the conjunction


class Copies(nn.Module):
    """Logits that are the input, through a layer with weights."""

    def __init__(self, classes):
        super().__init__()
        self.layer = nn.Linear(classes, classes, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(classes))

    def forward(self, x):
        return self.layer(x)


def asked(classes, x):
    """Labels, and the messages that Alice saw during the query."""
    seen = []
    bob = mpc.Bob(Copies(classes).eval(), None, input_shape=(classes,), mode="two-party", input_limit=8.0)

    def alice_side(link):
        alice = mpc.Alice(None, mode="two-party")
        alice.provision(link, len(x))
        link.observer = lambda way, name, payload: seen.append((way, name))
        before = link.traffic.rounds
        labels = alice.ask(x, link).labels
        return labels, link.traffic.rounds - before

    (labels, rounds), _ = run_both(alice_side, bob.serve)
    return labels, rounds, seen


@pytest.mark.parametrize("classes", [2, 3, 8, 16, 17, 35])
def test_the_index_of_the_largest_and_of_the_first_among_equals(classes):
    x = np.random.default_rng(classes).integers(-3, 4, (12, classes)).astype(np.float32)  # many are equal
    labels, rounds, _ = asked(classes, x)
    assert labels.tolist() == x.argmax(axis=1).tolist()
    assert rounds <= (ROUNDS_OF_A_STAGE + 3 if classes <= MOST else 2 * ROUNDS_OF_A_STAGE + 5)


def test_every_position_can_win():
    labels, _, _ = asked(16, np.eye(16, dtype=np.float32))
    assert labels.tolist() == list(range(16))


def test_no_value_is_opened_up_to_sixteen_classes():
    _, _, seen = asked(8, np.zeros((1, 8), np.float32))
    assert not [name for _, name in seen if name.startswith("argmax") and "select" in name]
    assert not [name for _, name in seen if "choices" in name]  # of a product's logits, they are told ahead


def test_groups_have_at_most_sixteen_candidates_and_all_pairs():
    program, _, _, _ = program_of(Copies(35), (35,))
    wins = [step for step in program.steps if isinstance(step, Wins)]
    signs = [step for step in program.steps if isinstance(step, Signs)]
    assert [[stop - start for start, stop in step.groups] for step in wins] == [[12, 12, 11], [3]]
    assert [step.shape for step in signs] == [(66 + 66 + 55,), (3,)]
    assert not any(isinstance(step, Index) for step in program.steps)


@pytest.mark.parametrize("groups", [((0, 5),), ((0, 3), (3, 5))])
def test_rows_say_who_wins(groups):
    values = np.random.default_rng(0).permutation(20).reshape(4, 5).astype(np.int64)
    step = Pairs("pairs", (0,), 1, (10,), groups)
    differences = local(step, [values.view(np.uint64)]).view(np.int64)
    shares = np.random.default_rng(1).integers(0, 2, differences.shape).astype(np.uint64)
    wins = Wins("wins", (1,), 2, (5,), groups)
    rows = rows_of(wins, True, shares) ^ rows_of(wins, False, (differences > 0).astype(np.uint64) ^ shares)
    best = rows.all(axis=0).reshape(4, 5)
    for start, stop in groups:
        assert (best[:, start:stop].argmax(axis=1) == values[:, start:stop].argmax(axis=1)).all()
        assert (best[:, start:stop].sum(axis=1) == 1).all()
