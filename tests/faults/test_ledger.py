"""The ledger over real services: it sees what each mode deals, and a dealer who deals one dealing twice."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from sotto import mpc
from sotto.bench.operations.parties.fault_proxy import Ledger
from sotto.bench.operations.parties.load_client import LoadClient
from sotto.bench.operations.parties.services import Deployment
from sotto.models import load
from tests.faults.service_folders import FEATURES, mpc_folders

PATIENCE = 60.0  # of every wait: the machine may be busy with other tests
DEADLINE = 200.0
DEALT = {
    "malicious": {"dealer.session", "dealer.bundle"},
    "semi-honest": {"dealer.session", "dealer.bundle"},
    "crypten": {"dealer.seed"},
}


def _ask_one(deployment):
    features = np.random.default_rng(0).normal(size=(1, *FEATURES)).astype(np.float32)
    alice = LoadClient(deployment, features, queries=1)
    assert alice.await_end(DEADLINE)
    assert (alice.ended, len(alice.answers)) == ("", 1), alice.said
    alice.kill()
    for service in deployment.services:
        service.await_idle(DEADLINE)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", [pytest.param(mode, marks=pytest.mark.slow) for mode in DEALT])
def test_the_ledger_watches_what_the_dealer_of_each_mode_sends(tmp_path, mode):
    bob, alice = mpc_folders(tmp_path)
    ledger = Ledger()
    with Deployment("mpc", mode, bob, alice, patience=PATIENCE, ledger=ledger) as deployment:
        for _ in range(2):
            _ask_one(deployment)
    assert ledger.names == DEALT[mode]
    assert not ledger.repeated


@pytest.mark.timeout(900)
@pytest.mark.parametrize("mode", ["malicious", pytest.param("semi-honest", marks=pytest.mark.slow)])
def test_a_dealer_who_deals_one_dealing_to_two_sessions_is_reported(tmp_path, mode):
    """His stock is put back as it was between the two, which he is told never to do.

    The dealing holds a bundle for two examples and both sessions ask for one, so their bundles are fresh: what repeats
    is the secret of the session alone, under which Bob's weights are masked twice.
    """
    bob, alice = mpc_folders(tmp_path)
    stock, ledger = tmp_path / "stock", Ledger()
    module, _ = load(bob / "model.safetensors")
    terms = mpc.Bob(module, None, input_shape=FEATURES, mode=mode).terms("class")
    mpc.Stock(stock).fill(terms, mode, examples=2)
    (ready,) = stock.glob("*.ready")
    shutil.copytree(ready, tmp_path / ready.name)
    with Deployment("mpc", mode, bob, alice, patience=PATIENCE, stock=stock, ledger=ledger) as deployment:
        _ask_one(deployment)
        assert not mpc.Stock(stock).ready(terms, mode)
        assert not ledger.repeated
        shutil.copytree(tmp_path / ready.name, ready)
        _ask_one(deployment)
    twice = {(receiver, name) for (receiver, name, _), count in ledger.dealt.items() if count > 1}
    told = ("alice", "bob") if mode == "malicious" else ("bob",)
    assert twice == {(receiver, "dealer.session") for receiver in told}
    assert ledger.repeated == len(told)
