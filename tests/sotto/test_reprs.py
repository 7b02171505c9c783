"""A repr ends up in logs and tracebacks: none shows a key, a mask, a weight or a recording.

Whatever a class of the paradigms holds that could be one, and prints by itself, must be named here with the reason why
everybody may see it.  Then real objects, secrets in them, are walked through and printed.
"""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
import re
import secrets
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from sotto import keyed, mpc
from sotto.hashing import HashKey, HashParameters
from sotto.he import Alice, Bob
from sotto.he.session_secrets import make_secrets
from sotto.link import Answer, Array
from sotto.models.networks.mlp import MLP

sys.path[:0] = [str(Path(__file__).parent.parent / "mpc" / room) for room in ("example_networks", "example_parties")]

PACKAGES = [f"sotto.{name}" for name in ("adversarial", "hashing", "he", "keyed", "link", "mpc", "serving")]

#: Attacks are the experimenter's, who knows everything; these are of everybody's.
PUBLIC = {
    "sotto.adversarial.messages.Query": "an Array, which shows its shape",
    "sotto.adversarial.learning.pool.Pool": "the trainer's corpus",
    "sotto.adversarial.sounds.segments.Events": "the trainer's corpus",
    "sotto.adversarial.sounds.segments.Segments": "the trainer's corpus",
    "sotto.adversarial.sounds.segments.Speech": "the trainer's corpus",
    "sotto.hashing.messages.Reply": "Arrays",
    "sotto.he.evaluation.evaluation_keys.PublicMaterial": "public keys",
    "sotto.he.network.schedule.Schedule": "sizes of primes",
    "sotto.he.messages.Query": "ciphertexts",
    "sotto.he.messages.Reply": "a ciphertext",
    "sotto.keyed.messages.Query": "an Array",
    "sotto.link.queries.answer.Reply": "Arrays",
    "sotto.link.queries.answer.Answer": "what was asked for",
    "sotto.mpc.graph.curves.Smooth": "a function that everybody knows, tanh for instance",
    "sotto.serving.terms.FrontEnd": "published",
    "sotto.serving.terms.Statistics": "published",
}

#: What Bob tells of his model, and what it comes from: parameters of the encryption and bounds.
PUBLISHED = ("BatchedDescription", "Description", "PackedDescription", "Plan", "ScaledPlan", "Schedule")

HOLDS = re.compile(
    r"bytes|ndarray|NDArray|Words|Tensor|memoryview|Array|Planes|Floats|Module|Authenticated|float, \.\.\."
)


def classes():
    for package in map(importlib.import_module, PACKAGES):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".attacks" in module.name or module.name == "sotto.mpc.crypten.torch_shim":
                continue
            try:
                found = vars(importlib.import_module(module.name))
            except mpc.CryptenMissing:
                continue
            yield from (each for each in found.values() if isinstance(each, type) and each.__module__ == module.name)


def shown(kind):
    """Name and annotation of what a class prints by itself."""
    if dataclasses.is_dataclass(kind):
        made = kind.__dataclass_params__.repr and "__repr__" in vars(kind)
        return {field.name: str(field.type) for field in dataclasses.fields(kind) if field.repr and made}
    if issubclass(kind, msgspec.Struct) and kind.__repr__ is msgspec.Struct.__repr__:
        return {name: str(of) for name, of in kind.__annotations__.items()}
    return {name: str(of) for name, of in kind.__annotations__.items()} if hasattr(kind, "_fields") else {}


def test_what_prints_by_itself_holds_no_secret():
    found = {
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in classes()
        if any(HOLDS.search(annotation) for annotation in shown(kind).values())
    }
    assert found == set(PUBLIC)


def within(thing, seen):
    """Every object of ours that can be reached."""
    if id(thing) in seen:
        return
    seen[id(thing)] = thing
    if isinstance(thing, (list, tuple, dict)):
        for each in thing.values() if isinstance(thing, dict) else thing:
            within(each, seen)
    elif type(thing).__module__.startswith("sotto."):
        names = [*getattr(thing, "__struct_fields__", ()), *getattr(thing, "__dict__", {})]
        for name in names:
            within(getattr(thing, name), seen)


def reprs(thing):
    seen = {}
    within(thing, seen)
    return {type(each).__name__: repr(each) for each in seen.values() if type(each).__module__.startswith("sotto.")}


def assert_silent(thing, *expected):
    """Nothing reachable prints bytes, an array, or a number as long as a word's."""
    texts = reprs(thing)
    for name, text in texts.items():
        clean = re.sub(r" at 0x[0-9a-f]+", "", text)
        assert not re.search(r"b'|b\"|\\x|array\(|tensor\(|\b\d{8,}\b|\d\.\d{5,}", clean) or name in PUBLISHED, (
            f"{name}: {text[:80]}"
        )
    assert set(expected) <= set(texts)


@pytest.mark.parametrize("mode", ["malicious", "semi-honest"])
def test_nothing_of_a_query_between_two_parties(mode):
    import malicious_parties
    import masked_parties
    from networks import tiny

    trio = (malicious_parties if mode == "malicious" else masked_parties).Trio(tiny(), (4,))
    with trio:
        trio.alice.provision(trio.link)
        evaluations = "MaliciousEvaluation" if mode == "malicious" else "AliceEvaluation"
        stocked = [list(parts) for queue in trio.alice._session._stock.values() for parts in queue]
        assert_silent([trio.alice, stocked], "Alice", evaluations, "Bundle", "GateShare", "ProductShare")


def test_nothing_of_a_dealing_and_of_the_stock(tmp_path):
    import malicious_parties
    from networks import tiny, tiny_terms

    from sotto.mpc.dealing.stock import _Contents

    program, _ = malicious_parties.compiled(tiny(), (4,))
    dealt = malicious_parties.Dealt(program)
    weights = [share.tensors for share in dealt.weights]
    assert_silent([dealt.secret, dealt.keys, weights, dealt.bundles], "SessionSecret", "Keys", "TensorShare")
    stock = mpc.Stock(tmp_path)
    stock.fill(tiny_terms(), "malicious")
    claimed = stock.claim(tiny_terms(), "malicious")
    assert_silent([stock, claimed], "Stock", "StockedDealing", "SealedFolder")
    claimed.close()
    contents = _Contents(secrets.token_bytes(32), ((1, 2, 3),))
    assert repr(contents) == "<contents of a dealing of 1 bundles>"


@pytest.mark.parametrize("mode", ["packed", "batched", "tenseal"])
def test_nothing_of_an_encrypted_session(mode):
    torch.manual_seed(0)
    module = MLP(6, (5, 4), 3, "poly2")
    module.train()
    for _ in range(10):
        module(torch.rand(64, 6) * 2 - 1)
    bob = Bob(module.eval(), mode=mode, threads=1)
    alice = Alice(threads=1)
    alice._secrets = make_secrets(bob.description, 1)
    session = bob.open(alice._secrets.public_material())
    assert_silent([bob, alice, session], "Alice", "Bob", "PolynomialNetwork", type(alice._secrets).__name__)


def test_nothing_of_secret_transforms():
    key = HashKey.generate(HashParameters(6, delta=4.0), seed=11)
    assert_silent([key, keyed.generate_key("rom", 10), keyed.generate_key("shuffling", 10)], "HashKey", "Shuffling")


def test_an_array_shows_its_shape_alone():
    text = repr(Array.of(np.array([[0.123456789]], np.float32)))
    assert "0.12" not in text
    assert "b'" not in text
    assert "(1, 1)" in text
    assert "labels" in repr(Answer(np.array([1])))
