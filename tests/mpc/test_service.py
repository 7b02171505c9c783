"""`mpc` as a service: the network lowered ahead, and terms that hold Bob to the bound of his values' error."""

import contextlib
import threading
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.audio.features import MeanMFCC
from sotto.link import LinkError, pair
from sotto.models import ModelRecord, build, save
from sotto.models.learning.training import predict
from sotto.mpc import service
from sotto.serving import registry
from sotto.serving.adapters import ClientCredentials, LoweringOptions, ModelSource
from sotto.serving.errors import AdapterError
from sotto.serving.folders import LOWERED_FILE, MODEL_FILE
from tests.error_codes import raises_code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bob")
    _save(folder)
    registry.lower("mpc", folder, LoweringOptions(weights="public"))
    return folder


def _save(folder, seed=3):
    torch.manual_seed(seed)
    module = build("depinto", {"classes": 3}).eval()
    record = ModelRecord(
        architecture="depinto", arguments={"classes": 3}, classes=("calm", "angry", "happy"),
        features=MeanMFCC(trim_db=35.0).to_record(),
    )  # fmt: skip
    save(folder / MODEL_FILE, module, record)
    return module


def _asked(hosted, terms, x):
    """Alice's answer, with Bob and the dealer in threads."""
    links = [pair(timeout=20) for _ in range(3)]
    (alice, to_alice), (alice_dealer, for_alice), (bob_dealer, for_bob) = links
    bob = hosted.make({"dealer": bob_dealer})
    dealer = mpc.Dealer(mode="semi-honest")
    works = (lambda: bob.serve(to_alice), lambda: dealer.serve(for_alice, for_bob))
    for work in works:
        threading.Thread(target=_quietly, args=(work,), daemon=True).start()
    try:
        return service.alice(ClientCredentials(reveal="values"), terms, {"dealer": alice_dealer}).ask(x, alice)
    finally:
        for each in links:
            each[0].close()


def _quietly(work):
    with contextlib.suppress(mpc.MpcError, LinkError):
        work()


def test_values_of_a_network_lowered_ahead_are_within_the_bound_of_the_terms(folder, monkeypatch):
    monkeypatch.setattr("sotto.mpc.lowering.lowered.trace", None)  # nothing is traced again
    hosted = registry.host(ModelSource("mpc", folder, "semi-honest", "values"))
    bound = hosted.terms.parameters["error bound"]
    assert hosted.terms.parameters["weights"] == "public"
    x = np.random.default_rng(1).normal(size=(2, *hosted.terms.input_shape)).astype(np.float32)
    answer = _asked(hosted, hosted.terms, x)
    assert answer.labels.tolist() == [-1, -1]
    torch.manual_seed(3)
    module = build("depinto", {"classes": 3}).eval()
    assert 0 < np.abs(answer.scores - predict(module, x)).max() <= bound
    other = msgspec.structs.replace(hosted.terms, parameters=hosted.terms.parameters | {"error bound": bound / 2})
    with raises_code(mpc.PlanError, "other-bound"):
        _asked(hosted, other, x)


def test_what_was_lowered_from_another_model_is_refused(folder, tmp_path):
    _save(tmp_path, seed=4)
    (tmp_path / LOWERED_FILE).write_bytes((folder / LOWERED_FILE).read_bytes())
    with raises_code(AdapterError, "other-model"):
        registry.host(ModelSource("mpc", tmp_path, "semi-honest"))


def test_a_service_that_reveals_classes_tells_no_bound(folder):
    source = ModelSource("mpc", folder, "semi-honest")
    assert "error bound" not in registry.host(source).terms.parameters
    assert "error bound" in registry.host(replace(source, reveal="values")).terms.parameters
