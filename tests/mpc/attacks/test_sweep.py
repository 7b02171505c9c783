"""A cheater at every message: the malicious mode never accepts a wrong answer, the others do."""

import numpy as np
import pytest
import torch
from torch import nn

from sotto.mpc.attacks import CHOICES_OF_INPUT, MEANINGS, every_meaning
from sotto.mpc.attacks.cheats import KINDS, Cheat
from sotto.mpc.attacks.sweep import cheating_parties, every_cheat, tamper

FEATURES = np.linspace(-1, 1, 12, dtype=np.float32).reshape(1, 2, 6)
AT_ONCE = tuple(kind for kind in KINDS if kind not in ("drop", "reorder", "frame", "short"))  # noticed without waiting


def network():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv1d(2, 3, 3), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(6, 3), nn.ReLU(), nn.Linear(3, 3)
    )


def run(mode, kinds, timeout=1.0, places=None):
    with cheating_parties(network(), (2, 6), FEATURES, mode=mode, timeout=timeout) as adversary:
        before = adversary.honest()
        chosen = before.places if places is None else places(before.places)
        return before, list(adversary.sweep(every_cheat(chosen, kinds), before))


def explained(outcomes, verdict):
    return [f"{o.cheat}: {o.altered}; {o.said}" for o in outcomes if o.verdict == verdict]


def test_malicious_never_accepts_a_wrong_answer():
    before, outcomes = run("malicious", AT_ONCE)
    names = {place.name for place in before.places["bob"]}
    assert {"mpc.weights", "relu1.sign", "maxpool1.1.masked", "linear1.input", "check.tags", "output"} <= names
    assert explained(outcomes, "accepted") == []
    assert explained(outcomes, "hung") == []
    assert explained(outcomes, "unanswered") == []
    assert all(outcome.altered for outcome in outcomes), "every place was reached"
    computing = [
        o for o in outcomes if o.cheat.kind in ("flip", "consistent", "random", "add") and "." in o.cheat.place
    ]
    harmless = [o for o in computing if o.verdict == "harmless"]
    assert all(o.cheat.place in ("mpc.ready", "mpc.stocked") for o in harmless), explained(harmless, "harmless")


def test_the_check_that_catches_is_named():
    with cheating_parties(network(), (2, 6), FEATURES, mode="malicious", timeout=1.0) as adversary:
        right = adversary.honest().right
        said = {
            place: adversary.attempt(Cheat("bob", place, kind), right).said
            for place, kind in [
                ("relu1.sign", "consistent"), ("linear1.input", "consistent"), ("coin.commitment", "flip"),
                ("check.tags", "flip"), ("output", "add"),
            ]
        }  # fmt: skip
    assert "a comparison's bit is wrong" in said["relu1.sign"]
    assert "an opened word is not the one held" in said["linear1.input"]
    assert "the coins are not those committed to" in said["coin.commitment"]
    assert "the tags are not those committed to" in said["check.tags"]
    assert "a label of the answer is not the dealer's" in said["output"]


def test_messages_that_never_come_end_the_wait():
    def two(places):
        return {
            party: [p for p in own if p.name in ("relu1.masked", "check.commitment")] for party, own in places.items()
        }

    _, outcomes = run("malicious", ("drop", "reorder", "short", "frame"), 0.5, two)
    assert {outcome.verdict for outcome in outcomes} <= {"caught", "refused"}, outcomes


CONTENT = ("masked", "sign", "input", "tags")


def test_what_is_computed_with_is_caught_by_a_check_of_the_victim():
    _, outcomes = run("malicious", ("consistent",), places=_computing)
    assert len(outcomes) > 15
    assert [f"{o.cheat}: {o.said}" for o in outcomes if o.verdict != "caught"] == []


def _computing(places):
    """Messages of shares."""
    return {party: [p for p in own if p.name.endswith(CONTENT)] for party, own in places.items()}


def test_semi_honest_accepts_wrong_answers():
    result = tamper(network(), (2, 6), FEATURES, mode="semi-honest", trials=40)
    assert result.count("accepted") >= 4
    assert result.count("hung") == 0


def test_stock_crypten_accepts_wrong_answers():
    result = tamper(network(), (2, 6), FEATURES, mode="crypten", trials=30)
    assert result.count("accepted") >= 3


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["malicious"])
def test_every_kind_at_every_place(mode):
    _, outcomes = run(mode, KINDS, 1.0)
    assert explained(outcomes, "accepted") == []
    assert explained(outcomes, "hung") == []


@pytest.mark.parametrize("mode", ["malicious", "semi-honest", "crypten"])
def test_what_contradicts_the_terms_is_refused_and_a_choice_of_input_is_allowed(mode):
    with cheating_parties(network(), (2, 6), FEATURES, mode=mode, timeout=3.0) as adversary:
        before = adversary.honest()
        outcomes = {str(outcome.cheat): outcome for outcome in adversary.sweep(every_meaning(), before)}
    assert set(outcomes) == set(MEANINGS)
    verdicts = {name: outcome.verdict for name, outcome in outcomes.items()}
    assert {name for name, verdict in verdicts.items() if verdict == "allowed"} == CHOICES_OF_INPUT, outcomes
    refused = set(MEANINGS) - CHOICES_OF_INPUT - ({"bob:ranges"} if mode == "crypten" else set())
    assert {name for name, verdict in verdicts.items() if verdict == "refused"} == refused, outcomes
    assert all("terms" in outcomes[name].said for name in refused)
