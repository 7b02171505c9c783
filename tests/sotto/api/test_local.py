"""``sotto.local``: the same session in all five paradigms, with real processes behind it."""

from __future__ import annotations

import subprocess
import sys
from multiprocessing import resource_tracker
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from torch import nn

import sotto
from sotto import he
from sotto.link import BadValue
from sotto.models.networks.polynomial import PolynomialReLU
from tests.error_codes import raises_code
from tests.sotto.api.models import MODELS, blocks, hashed, polynomial

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("paradigm", MODELS)
def test_a_session_answers_until_it_is_closed_and_says_what_it_cost(paradigm):
    own = MODELS[paradigm]()
    x, plain = own.x, own.plain
    resource_tracker.ensure_running()  # one for this process, which stays
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    with sotto.local(paradigm, own.model, **own.needs, reveal="logits") as alice:
        started = {child.pid for child in psutil.Process().children(recursive=True)} - before
        assert len(started) >= (6 if paradigm == "mpc" else 4) - 1  # Alice, hosts and their sessions
        assert_alice_and_the_dealer_do_without_torch(paradigm, alice._parties)
        assert alice.costs.online is None
        assert alice.costs.setup.bytes["alice"] > 0
        several = alice.ask(x[:3].astype(np.float64))
        assert several.labels.tolist() == plain[:3].tolist()
        assert several.scores.shape[0] == 3
        assert several.scores.dtype == np.float32
        with pytest.raises(sotto.InputRefused):
            alice.ask(np.zeros((2, 2, 2, 2)))
        with raises_code(sotto.InputRefused, "not-finite"):
            alice.ask(np.full_like(x[:1], np.nan))
        alice.provision(1)
        assert alice.ask(x[0].tolist()).labels.tolist() == plain[:1].tolist()  # one example, no batch axis, a list
        costs = alice.costs
        assert (costs.examples, costs.queries) == (1, 2)
        assert costs.online.ms > 0
        assert costs.online.rounds["alice"] >= 1
        assert costs.online.bytes["alice"] > 0
        assert costs.online.bytes["bob"] > 0
        assert (costs.offline is not None) == (paradigm == "mpc")
        assert (
            set(costs.peak_rss_mb)
            == set(costs.online.bytes)
            == {"alice", "bob"} | ({"dealer"} if paradigm == "mpc" else set())
        )
        assert "online" in str(costs)
    alice.close()
    with raises_code(sotto.SessionError, "session-over", match="closed"):
        alice.ask(x)
    assert not started & {child.pid for child in psutil.Process().children(recursive=True)}


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.valence, self.arousal = nn.Linear(6, 8), nn.Linear(8, 1), nn.Linear(8, 1)

    def forward(self, x):
        h = torch.tanh(self.body(x))
        return {"valence": self.valence(h), "arousal": self.arousal(h), "body": h.sum(dim=1).sort()}


def test_a_network_of_two_heads_gives_values_within_a_proven_bound():
    torch.manual_seed(1)
    module, x = TwoHeads().eval(), np.random.default_rng(1).normal(size=(4, 6)).astype(np.float32)
    with torch.no_grad():
        plain = module(torch.from_numpy(x))
    wanted = {
        "mode": "semi-honest", "input_shape": 6, "reveal": "values", "output": ("valence", "arousal"),
        "activation_error": 1e-2, "weights": "public",
    }  # fmt: skip
    with sotto.local("mpc", module, **wanted) as alice:
        answer = alice.ask(x)
        bound = alice.error_bound
    assert answer.labels.tolist() == [-1] * 4
    error = np.abs(answer.scores - torch.cat([plain["valence"], plain["arousal"]], dim=1).numpy()).max()
    assert 1e-5 < error <= bound < 0.5
    for paradigm, given in (("he", {"reveal": "values"}), ("he", {"weights": "public"})):
        with pytest.raises(sotto.ModelRefused):
            sotto.local(paradigm, module, input_shape=6, **given)


def assert_alice_and_the_dealer_do_without_torch(paradigm, parties):
    """Alice and the dealer are light: what they need is NumPy, not the library of Bob's networks."""
    assert _loads_torch(parties._alice.pid) == (paradigm == "adversarial")  # whose sensor is a network
    for role, service in parties._services.items():
        for process in (service.host.pid, *(child.pid for child in psutil.Process(service.host.pid).children())):
            if role == "dealer":  # Bob's host comes from a warm server, whatever his own paradigm needs
                assert not _loads_torch(process)


def _loads_torch(pid):
    return any("libtorch" in each.path for each in psutil.Process(pid).memory_maps())


def test_what_alice_refuses_in_her_own_process_leaves_the_session_as_it_was():
    own = blocks("mpc")
    with sotto.local("mpc", own.model, mode="semi-honest", input_shape=[1, 40], classes=("a", "b", "c")) as alice:
        assert alice.classes == ("a", "b", "c")
        with raises_code(sotto.InputRefused, "wrong-shape"):
            alice.ask(np.zeros((1, 1, 41)))
        answer = alice.ask(own.x)
        assert answer.labels.tolist() == own.plain.tolist()
        assert answer.scores is None
    assert own.model.training


def test_a_convolutional_network_with_polynomials_is_asked_under_encryption():
    torch.manual_seed(0)
    square, pool = PolynomialReLU(degree=2), nn.AvgPool1d(4)
    model = nn.Sequential(nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), square, pool, nn.Flatten(), nn.Linear(16, 3)).eval()
    x = np.random.default_rng(0).uniform(-1, 1, size=(6, 2, 18)).astype(np.float32)
    with sotto.local("he", model, calibration=x, reveal="logits") as alice:
        assert alice.input_shape == (2, 18)
        answer = alice.ask(x)
    assert np.abs(answer.scores - model(torch.from_numpy(x)).detach().numpy()).max() < 1e-2


def test_two_parties_need_no_third():
    own = blocks("mpc")
    with sotto.local("mpc", own.model, mode="two-party", input_shape=[1, 40]) as alice:
        assert alice.ask(own.x).labels.tolist() == own.plain.tolist()
        assert alice.costs.offline.bytes.keys() == alice.costs.online.bytes.keys() == {"alice", "bob"}


def test_a_party_that_dies_ends_the_session_with_one_line():
    own = polynomial()
    with sotto.local("he", own.model, **own.needs, timeout=20) as alice:
        session = max(psutil.Process().children(recursive=True), key=lambda child: child.create_time())
        session.kill()
        with pytest.raises(sotto.SessionError) as caught:
            alice.ask(own.x)
        assert len(str(caught.value).splitlines()) == 1
        with raises_code(sotto.SessionError, "session-over"):
            alice.ask(own.x)


@pytest.mark.parametrize(
    ("paradigm", "changed", "code"),
    [
        ("mpc", {"input_shape": None}, "shape-needed"),
        ("mpc", {"input_shape": "wide"}, "bad-shape"),
        ("mpc", {"input_shape": (1, 0)}, "bad-shape"),
        ("mpc", {"input_shape": 2.5}, "bad-shape"),
        ("mpc", {"mode": "fast"}, "unknown-mode"),
        ("mpc", {"model": [1, 2]}, "wrong-model"),
        ("mpc", {"model": "/no/such.safetensors"}, "no-such-file"),
        ("he", {"input_shape": 7}, "wrong-shape"),
        ("he", {"model": blocks("mpc").model, "input_shape": (1, 40), "calibration": None}, "model-refused"),
        ("he", {"model": blocks("mpc").model, "calibration": None}, "model-refused"),
        ("hashing", {"key": None}, "key-needed"),
        ("hashing", {"model": blocks("mpc").model}, "wrong-model"),
        ("hashing", {"model": hashed().model}, "other-key"),
        ("keyed", {"mode": "caesar"}, "unknown-mode"),
        ("keyed", {"key": 7}, "wrong-key"),
        ("keyed", {"model": polynomial().model}, "no-convolution"),
        ("adversarial", {"sensor": None}, "sensor-needed"),
        ("adversarial", {"model": blocks("mpc").model}, "wrong-model"),
    ],
)
def test_what_a_paradigm_cannot_run_is_said_in_one_line_before_anything_starts(paradigm, changed, code):
    own = MODELS[paradigm]()
    wanted = {**own.needs, **changed}
    model = wanted.pop("model", own.model)
    with raises_code(sotto.ModelRefused, code) as caught:
        sotto.local(paradigm, model, **wanted)
    assert str(caught.value).startswith(f"{paradigm}: ")
    assert len(str(caught.value).splitlines()) == 1


def test_the_paradigm_and_the_rest_of_the_call_are_checked():
    with raises_code(sotto.ModelRefused, "unknown-paradigm"):
        sotto.local("tea leaves", None)
    with raises_code(BadValue, "unknown-net"):
        sotto.local("mpc", None, net="carrier pigeon")
    with raises_code(BadValue, "unknown-reveal"):
        sotto.local("mpc", None, reveal="weights")


def test_a_folded_network_is_served_as_the_module_is():
    own = polynomial()
    assert (
        he.Bob(he.PolynomialNetwork.of(own.model), calibration=own.x).description
        == he.Bob(own.model, calibration=own.x).description
    )


SCRIPT = """
import sotto, torch
from torch import nn

class Mine(nn.Module):  # of this script, which no other process can import, and which has no main guard
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 4, 4, stride=4)
    def forward(self, x):
        return torch.relu(self.first(x)).mean(2)

print("once")
torch.manual_seed(0)
model = Mine()
with sotto.local("keyed", model, input_shape=(1, 40)) as alice:
    x = torch.randn(2, 1, 40, requires_grad=True)
    assert alice.ask(x).labels.tolist() == model(x).argmax(1).tolist()
"""


def test_a_plain_script_with_a_network_of_its_own_is_enough(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "script.py"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["once"]


def test_importing_sotto_imports_nothing_else():
    code = "import sys, sotto; print([name for name in sys.modules if name.startswith(('sotto.', 'numpy', 'torch'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
