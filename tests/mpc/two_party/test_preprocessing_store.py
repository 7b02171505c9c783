"""PreprocessingStore on disk: the same again in a later session, once, sealed, and never for another network."""

from __future__ import annotations

import dataclasses
import os

import networks
import numpy as np
import pytest
import torch
from parties import run_both

from sotto import mpc
from sotto.link import BadValue, LinkError
from sotto.mpc.errors import StockError
from sotto.mpc.two_party import preprocessing_store
from sotto.mpc.two_party.preprocessing import AlicePrepared
from sotto.mpc.two_party.preprocessing_store import PreprocessingStore
from tests.error_codes import raises_code

X = np.linspace(-3, 3, 8, dtype=np.float32).reshape(2, 4)
HEAVY = ("linear1.mask", "linear1.masked", "ot.base", "ot.extend", "he.zero")


class Pair:
    """Alice's and Bob's folders, and sessions between the two."""

    def __init__(self, path):
        self.paths = {"alice": path / "alice", "bob": path / "bob"}
        self.module = networks.tiny()

    def folders(self):
        return {name: PreprocessingStore(path) for name, path in self.paths.items()}

    def ready(self):
        return [len(list(self.paths[name].glob("*.ready"))) for name in ("alice", "bob")]

    def session(self, *, prepare=(), ask=(), module=None):
        """What Alice was answered, and the names of all messages."""
        kept, names, labels = self.folders(), [], []
        bob = mpc.Bob(module or self.module, None, input_shape=(4,), mode="two-party", input_limit=8.0,
                      store=kept["bob"])  # fmt: skip

        def alice_side(link):
            link.observer = lambda way, name, payload: names.append(name)
            alice = mpc.Alice(None, mode="two-party", store=kept["alice"])
            for examples, queries in prepare:
                alice.provision(link, examples, queries)
            for x in ask:
                labels.append(alice.ask(x, link).labels.tolist())
            alice.close()

        run_both(alice_side, bob.serve)
        return labels, names


@pytest.fixture
def pair(tmp_path):
    return Pair(tmp_path)


def right(module, x=X):
    with torch.no_grad():
        return module(torch.from_numpy(x)).argmax(1).tolist()


def test_what_is_left_of_a_session_serves_the_next_without_set_up(pair):
    pair.session(prepare=((2, 1), (1, 1)))
    assert pair.ready() == [2, 2]
    labels, names = pair.session(ask=[X])
    assert labels == [right(pair.module)]
    assert not set(HEAVY) & set(names)
    assert pair.ready() == [1, 1]
    labels, names = pair.session(ask=[X[:1], X[1:]])  # one kept, the other made anew
    assert [label for each in labels for label in each] == right(pair.module)
    assert set(HEAVY) <= set(names)
    assert pair.ready() == [0, 0]


def test_triples_of_words_are_kept_like_the_rest(pair):
    class Squares(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = torch.nn.Linear(4, 3), torch.nn.Linear(3, 3)

        def forward(self, x):
            x = self.first(x)
            return self.last(x * x - x * torch.sigmoid(x))

    torch.manual_seed(1)
    module = Squares().eval()
    pair.session(prepare=((2, 1),), module=module)
    assert pair.ready() == [1, 1]
    labels, names = pair.session(ask=[X], module=module)
    assert labels == [right(module)]
    assert not set(HEAVY) & set(names)


def test_what_was_taken_and_not_used_is_kept_again(pair):
    pair.session(prepare=((2, 1),))
    _, names = pair.session(prepare=((2, 1),))
    assert not set(HEAVY) & set(names)
    assert pair.ready() == [1, 1]
    assert pair.session(ask=[X])[0] == [right(pair.module)]
    assert pair.ready() == [0, 0]


def test_another_network_does_not_get_it(pair):
    pair.session(prepare=((2, 1),))
    other = networks.tiny()
    with torch.no_grad():
        other[2].weight *= -1
    labels, names = pair.session(ask=[X], module=other)
    assert labels == [right(other)]
    assert set(HEAVY) <= set(names)


def test_where_one_side_lacks_it_both_make_a_new_one(pair):
    pair.session(prepare=((2, 1),))
    for path in pair.paths["bob"].glob("*.ready"):
        for file in path.iterdir():
            file.unlink()
        path.rmdir()
    labels, names = pair.session(ask=[X])
    assert labels == [right(pair.module)]
    assert {"mpc.found", *HEAVY} <= set(names)
    assert pair.ready() == [0, 0]


def test_a_session_without_folders_asks_for_nothing(pair, tmp_path):
    pair.session(prepare=((2, 1),))
    bob = mpc.Bob(pair.module, None, input_shape=(4,), mode="two-party", input_limit=8.0)

    def alice_side(link):
        alice = mpc.Alice(None, mode="two-party", store=PreprocessingStore(pair.paths["alice"]))
        return alice.ask(X, link).labels.tolist()

    labels, _ = run_both(alice_side, bob.serve)
    assert labels == right(pair.module)


def test_a_preparation_is_marked_used_before_anything_depends_on_it(pair):
    """Taken, then the process dies: it is not there again, at that side, for anybody."""
    pair.session(prepare=((2, 1),))
    (name,) = [path.stem for path in pair.paths["alice"].glob("*.ready")]
    digest, _, number = name.partition(".")
    child = os.fork()
    if not child:
        taken = PreprocessingStore(pair.paths["alice"]).take(digest, bytes.fromhex(number))
        os._exit(0 if taken else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    after = PreprocessingStore(pair.paths["alice"])
    assert after.numbers(digest) == []
    assert after.take(digest, bytes.fromhex(number)) is None
    assert pair.session(ask=[X])[0] == [right(pair.module)]


def test_files_are_sealed_and_for_one_account(pair, monkeypatch):
    seen = []
    original = preprocessing_store._saved
    monkeypatch.setattr(preprocessing_store, "_saved", lambda prepared: seen.append(prepared) or original(prepared))
    pair.session(prepare=((2, 1),))
    content = b"".join(file.read_bytes() for path in pair.paths.values() for file in path.rglob("prepared"))
    masks = [words for prepared in seen if isinstance(prepared, AlicePrepared) for words in prepared.masks.values()]
    assert masks
    assert len(content) > 1000
    assert not any(words.tobytes()[:16] in content for words in masks)
    assert all(path.stat().st_mode & 0o077 == 0 for path in pair.paths["alice"].rglob("*"))
    pair.paths["alice"].chmod(0o755)
    with raises_code(StockError, "open-folder"):
        PreprocessingStore(pair.paths["alice"])


def test_damage_is_noticed(pair):
    pair.session(prepare=((2, 1),))
    (file,) = pair.paths["alice"].rglob("prepared")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with raises_code(StockError, "damaged"):
        pair.session(ask=[X])
    assert pair.ready()[0] == 0
    assert pair.session(ask=[X])[0] == [right(pair.module)]


def test_what_comes_back_is_what_was_kept(pair, monkeypatch):
    seen = []
    original = preprocessing_store._saved
    monkeypatch.setattr(preprocessing_store, "_saved", lambda prepared: seen.append(prepared) or original(prepared))
    pair.session(prepare=((2, 1),))
    for prepared in seen:
        again = (preprocessing_store.alice_of if isinstance(prepared, AlicePrepared) else preprocessing_store.bob_of)(
            original(prepared)
        )
        assert same(prepared, again)


def same(one, two):
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(two, f.name)) for f in dataclasses.fields(one))
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, np.ndarray):
        return one.dtype == two.dtype and one.shape == two.shape and bool((one == two).all())
    return one == two


def test_the_disk_is_not_filled_without_end(pair, monkeypatch):
    monkeypatch.setattr(preprocessing_store, "MOST_KEPT", 2)
    pair.session(prepare=((1, 4),))
    assert pair.ready() == [2, 2]


def test_many_are_made_in_one_session_and_used_in_others(pair):
    pair.session(prepare=((2, 3),))
    assert pair.ready() == [3, 3]
    for left in (2, 1, 0):
        labels, names = pair.session(ask=[X])
        assert labels == [right(pair.module)]
        assert not set(HEAVY) & set(names)
        assert pair.ready() == [left, left]


@pytest.mark.parametrize("at", ["linear1.input", "relu1.and1", "output"])
def test_what_an_interrupted_query_took_is_never_kept(pair, at):
    """Another query with the same masks would show the difference of the two; what nobody touched still serves."""
    pair.session(prepare=((2, 2),))
    before = {path.name for path in pair.paths["alice"].glob("*.ready")}
    kept = pair.folders()
    bob = mpc.Bob(pair.module, None, input_shape=(4,), mode="two-party", input_limit=8.0, store=kept["bob"])

    def interrupt(way, name, payload):
        if name == at:
            raise KeyboardInterrupt

    def alice_side(link):
        alice = mpc.Alice(None, mode="two-party", store=kept["alice"])
        alice.provision(link, 2, 2)
        (taken,) = {part.name[1] for part in alice._session._stock[2][0]}
        link.observer = interrupt
        with pytest.raises(KeyboardInterrupt):
            alice.ask(X, link)
        with pytest.raises(LinkError):
            alice.ask(X, link)
        return taken.hex()

    def bob_side(link):
        with pytest.raises(LinkError):
            bob.serve(link)

    taken, _ = run_both(alice_side, bob_side)
    after = {path.name for path in pair.paths["alice"].glob("*.ready")}  # Bob's half is of no use without hers
    assert after == {name for name in before if taken not in name}
    assert len(after) == 1
    assert pair.session(ask=[X])[0] == [right(pair.module)]


def test_a_forked_process_keeps_nothing_of_its_parents(pair, monkeypatch):
    """The parent would use it, and a later session the kept copy."""
    pid = os.getpid()
    kept = pair.folders()
    bob = mpc.Bob(pair.module, None, input_shape=(4,), mode="two-party", input_limit=8.0, store=kept["bob"])

    def alice_side(link):
        alice = mpc.Alice(None, mode="two-party", store=kept["alice"])
        alice.provision(link, 2)
        monkeypatch.setattr(os, "getpid", lambda: pid + 1)
        alice.close()
        monkeypatch.undo()

    run_both(alice_side, bob.serve)
    assert pair.ready() == [0, 1]


def test_modes_with_a_dealer_keep_nothing(tmp_path):
    with raises_code(BadValue, "dealer-prepares"):
        mpc.Bob(networks.tiny(), None, input_shape=(4,), store=PreprocessingStore(tmp_path / "p"))
