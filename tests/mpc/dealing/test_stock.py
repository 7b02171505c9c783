"""The dealer's stock: what is stored is secret, used once, and refused when it is not what was stored."""

import errno
import os
import random
import re
import signal
import stat
import threading
import time
from collections import Counter
from pathlib import Path

import networks
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.link import BadValue, LinkError, listen, pair
from sotto.mpc.graph.compiler import compile_program
from tests.error_codes import raises_code
from tests.scripts import Script

PARTIES = Path(__file__).parents[1] / "example_parties"
MODE = "semi-honest"


@pytest.fixture(scope="module")
def terms():
    return networks.tiny_terms()


@pytest.fixture
def stock(tmp_path):
    return mpc.Stock(tmp_path / "stock")


def folders(stock, state):
    return sorted(stock._path.glob(f"*.{state}"))


def everything(dealing, examples=1):
    """All bundles left for so many examples."""
    taken = []
    while pair_of_bundles := dealing.take(examples):
        taken.append(pair_of_bundles)
    return taken


def test_a_dealing_serves_one_session_and_each_bundle_one_query(stock, terms):
    stock.fill(terms, MODE, count=3)
    stock.fill(terms, MODE, examples=5, count=2)
    assert stock.ready(terms, MODE) == 2
    dealings = [stock.claim(terms, MODE), stock.claim(terms, MODE)]
    assert stock.claim(terms, MODE) is None
    assert stock.ready(terms, MODE) == 0
    assert len({dealing.secret for dealing in dealings}) == 2
    bundles = [bundle for dealing in dealings for n in (1, 5) for bundle in everything(dealing, n)]
    assert len(bundles) == len({alice for alice, _ in bundles}) == len({bob for _, bob in bundles}) == 5
    for dealing in dealings:
        dealing.close()
        dealing.close()
    assert [path.name for path in stock._path.iterdir()] == ["key"]


def test_a_large_query_is_stored_in_the_parts_in_which_it_is_asked(stock):
    terms = networks.tiny_terms(width=10_000)
    part = compile_program(terms.plan, terms.ranges, terms.reveal).part
    stock.fill(terms, MODE, examples=part + 1)
    dealing = stock.claim(terms, MODE)
    assert part > 1
    assert dealing.take(part)
    assert dealing.take(part) is None
    assert dealing.take(1)


def test_what_a_session_leaves_over_is_destroyed(stock, terms):
    stock.fill(terms, MODE, count=3)
    dealing = stock.claim(terms, MODE)
    dealing.take(1)
    dealing.discard()
    assert [path.name for path in sorted(folders(stock, "used")[0].iterdir())] == ["1", "2", "session"]
    dealing.close()
    assert [path.name for path in stock._path.iterdir()] == ["key"]


def test_another_network_or_answer_has_its_own_stock(stock, terms):
    stock.fill(terms, MODE)
    assert stock.claim(networks.tiny_terms(reveal="logits"), MODE) is None
    assert stock.claim(networks.tiny_terms(width=7), MODE) is None
    assert stock.claim(terms, MODE) is not None


def test_two_dealers_share_a_stock_and_never_a_dealing(stock, terms):
    for _ in range(8):
        stock.fill(terms, MODE)
    secrets = []

    def claim_all():
        own = mpc.Stock(stock._path)
        while dealing := own.claim(terms, MODE):
            secrets.append(dealing.secret)
            held.append(dealing)

    held = []
    threads = [threading.Thread(target=claim_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(secrets) == len(set(secrets)) == 8


def test_a_living_owner_keeps_what_a_dead_one_loses(stock, terms):
    stock.fill(terms, MODE, count=2)
    dealing = stock.claim(terms, MODE)
    mpc.Stock(stock._path)
    assert len(everything(dealing)) == 2
    os.close(dealing._folder._handle)  # what the kernel does for a process that dies
    mpc.Stock(stock._path)
    assert [path.name for path in stock._path.iterdir()] == ["key"]


def test_files_are_for_their_owner_and_hold_nothing_in_clear(stock, terms):
    stock.fill(terms, MODE, count=2)
    (folder,) = folders(stock, "ready")
    paths = [stock._path / "key", *folder.iterdir()]
    assert [path.name for path in sorted(folder.iterdir())] == ["0", "1", "session"]
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in paths)
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE(stock._path.stat().st_mode) == 0o700
    stored = b"".join(path.read_bytes() for path in folder.iterdir())
    dealing = stock.claim(terms, MODE)
    alice, bob = dealing.take(1)
    for secret in (dealing.secret, *(data[i : i + 16] for data in (alice, bob) for i in range(8, len(data), 16))):
        assert secret not in stored
    counts = np.bincount(np.frombuffer(stored, np.uint8), minlength=256)
    assert counts.max() < 4 * counts.mean() + 30


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def swell(path):
    os.truncate(path, 1 << 40)  # sparse; reading it would end the process


def become_endless(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def become_its_neighbour(path):
    path.write_bytes((path.parent / "1").read_bytes())


@pytest.mark.parametrize("name", ["session", "0"])
@pytest.mark.parametrize("damage", [flip, cut, empty, swell, become_endless, become_its_neighbour, Path.unlink])
def test_a_file_that_is_not_what_was_stored_is_refused_in_one_line(stock, terms, name, damage):
    stock.fill(terms, MODE, count=2)
    damage(folders(stock, "ready")[0] / name)
    with raises_code(
        mpc.StockError, "damaged", match=rf"^file '{name}' of the stock's dealing [0-9a-f]{{8}} is missing, dam"
    ):
        stock.claim(terms, MODE).take(1)
    mpc.Stock(stock._path)
    assert stock.claim(terms, MODE) is None
    stock.fill(terms, MODE)
    assert stock.claim(terms, MODE).take(1)


def test_a_file_of_another_dealing_is_refused(stock, terms):
    for _ in range(2):
        stock.fill(terms, MODE)
    first, second = folders(stock, "ready")
    (first / "0").rename(second / "0")
    first.rename(first.with_suffix(".used"))
    with raises_code(mpc.StockError, "damaged"):
        stock.claim(terms, MODE).take(1)


def test_a_dealing_renamed_to_other_terms_is_refused(stock, terms):
    stock.fill(terms, MODE)
    stock.fill(networks.tiny_terms(width=7), MODE)
    one, other = folders(stock, "ready")
    for path, foreign in ((one, other), (other, one)):
        path.rename(path.with_name(foreign.name.split(".")[0] + "." + path.name.split(".")[1] + ".ready.new"))
    for path in list(stock._path.glob("*.new")):
        path.rename(path.with_suffix(""))
    with raises_code(mpc.StockError, "damaged"):
        stock.claim(terms, MODE)


def test_folders_of_other_names_are_left_alone(stock, terms):
    mine = stock._path / "mine.used"
    mine.mkdir()
    (mine / "letter").write_text("dear")
    mpc.Stock(stock._path)
    assert stock.claim(terms, MODE) is None
    assert (mine / "letter").exists()


def test_the_key_is_the_dealers_alone(stock, terms):
    stock.fill(terms, MODE)
    key = stock._path / "key"
    key.chmod(0o640)
    with raises_code(mpc.StockError, "key-readable", match="chmod 600"):
        mpc.Stock(stock._path)
    key.chmod(0o600)
    stock._path.chmod(0o755)
    with raises_code(mpc.StockError, "open-folder"):
        mpc.Stock(stock._path)
    stock._path.chmod(0o700)
    content = key.read_bytes()
    key.write_bytes(content[:-1])
    with raises_code(mpc.StockError, "wrong-file", match="is no key"):
        mpc.Stock(stock._path)
    key.unlink()
    with raises_code(mpc.StockError, "file-missing"):
        mpc.Stock(stock._path)
    key.write_bytes(bytes(32))
    key.chmod(0o600)
    with raises_code(mpc.StockError, "damaged"):
        mpc.Stock(stock._path).claim(terms, MODE)


def test_a_place_that_cannot_hold_a_stock_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with raises_code(mpc.StockError, "cannot-make"):
        mpc.Stock(tmp_path / "file")


def test_a_full_disk_leaves_no_dealing_and_sends_none(stock, terms, monkeypatch):
    def full(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    stock.fill(terms, MODE, count=2)
    stock.fill(terms, MODE, count=2)
    dealing = stock.claim(terms, MODE)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with raises_code(mpc.StockError, "cannot-write", match=r"cannot be filled \(No space left"):
            stock.fill(terms, MODE)
        assert not folders(stock, "filling")
        with raises_code(mpc.StockError, "cannot-mark"):
            stock.claim(terms, MODE)
    assert len(everything(dealing)) == 2


def test_more_than_a_dealing_can_hold_is_refused(stock, terms):
    for count in (0, -1, 1 << 17):
        with raises_code(mpc.StockError, "bad-count"):
            stock.fill(terms, MODE, count=count)
    with raises_code(mpc.PlanError, "bad-plan", match="examples"):
        stock.fill(terms, MODE, examples=0)


def test_a_mode_without_bundles_has_no_stock(stock, terms):
    with raises_code(BadValue, "no-bundles"):
        mpc.Dealer(mode="crypten", stock=stock)
    with raises_code(BadValue, "no-bundles"):
        stock.fill(terms, "crypten")


# -- sessions with a dealer who has a stock -------------------------------------------------------------------------


class Parties:
    """Alice and Bob with links to a dealer; what they say when asked twice or three times."""

    def __init__(self, alice_dealer, bob_dealer, mode=MODE):
        self._ours, theirs = pair(timeout=20)
        self._alice = mpc.Alice(alice_dealer, mode=mode)
        bob = mpc.Bob(networks.tiny(), bob_dealer, input_shape=(4,), mode=mode, input_limit=8.0)

        def serve():
            try:
                bob.serve(theirs)
            except LinkError:
                bob_dealer.close()

        self._serving = threading.Thread(target=serve)
        self._serving.start()

    def ask(self, x):
        return self._alice.ask(x, self._ours).labels

    def close(self):
        self._alice.close()
        self._ours.close()
        self._serving.join(timeout=20)
        assert not self._serving.is_alive()


def classes(x):
    with torch.no_grad():
        return networks.tiny()(torch.from_numpy(x)).argmax(1).numpy()


def examples(n, seed=0):
    return np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)


def dealt(stock, mode):
    """New links of Alice and Bob to a dealer who has the stock, and his thread."""
    (alice_link, for_alice), (bob_link, for_bob) = pair(timeout=20), pair(timeout=20)
    dealer = threading.Thread(target=mpc.Dealer(mode=mode, stock=stock).serve, args=(for_alice, for_bob))
    dealer.start()
    return alice_link, bob_link, dealer


@pytest.mark.parametrize("mode", ["semi-honest", "malicious"])
def test_a_session_uses_the_stock_first_and_fresh_bundles_then(stock, terms, mode):
    stock.fill(terms, mode, count=2)
    stock.fill(terms, mode, count=2)
    left = []
    dealing = stock.claim

    def claim(*arguments):
        left.append(dealing(*arguments))
        return left[-1]

    stock.claim = claim
    alice_link, bob_link, dealer = dealt(stock, mode)
    x = examples(3)
    parties = Parties(alice_link, bob_link, mode)
    for _ in range(4):
        assert (parties.ask(x[:1]) == classes(x[:1])).all()
    assert (parties.ask(x) == classes(x)).all()  # no bundle of this size is in stock
    parties.close()
    assert len(left) == 1
    assert everything(left[0]) == []
    assert stock.ready(terms, mode) == 1
    parties = Parties(alice_link, bob_link, mode)  # another session over the same links to the dealer
    assert (parties.ask(x[:1]) == classes(x[:1])).all()
    assert len(left) == 1, "a pair that sets up again and again would empty the stock"
    assert stock.ready(terms, mode) == 1
    assert not folders(stock, "used")
    parties.close()
    alice_link.close()
    dealer.join(timeout=20)
    alice_link, bob_link, dealer = dealt(stock, mode)  # new links: the next dealing
    parties = Parties(alice_link, bob_link, mode)
    assert (parties.ask(x[:1]) == classes(x[:1])).all()
    assert len(left) == 2
    assert len(folders(stock, "used")) == 1
    parties.close()
    alice_link.close()
    dealer.join(timeout=20)
    assert [path.name for path in stock._path.iterdir()] == ["key"]


class Dealers:
    """Dealers in processes of their own, forked from one that has imported everything."""

    def __init__(self, folder):
        self.stock, self._ledger = folder / "stock", folder / "ledger"
        self._process = Script(PARTIES / "stock_dealer.py", self.stock, self._ledger)
        assert self._said() == "ready"

    def _said(self):
        return self._process.stdout.readline().strip()

    def tell(self, *words):
        print(*words, file=self._process.stdin, flush=True)
        return self._said()

    def serve(self, moment="never"):
        """A dealer's number and the two links to it."""
        with listen() as for_alice, listen() as for_bob:
            pid = int(self.tell("serve", for_alice.address[1], for_bob.address[1], moment))
            return pid, for_alice.accept(peer="the dealer"), for_bob.accept(peer="the dealer")

    def require_nothing_sent_twice(self):
        sent = Counter(self._ledger.read_text().split("\n")[:-1])
        assert sent
        assert set(sent.values()) == {1}
        return sum(sent.values())

    def close(self):
        self._process.stdin.close()
        self._process.wait(timeout=20)


@pytest.fixture(scope="module")
def dealers(tmp_path_factory):
    made = Dealers(tmp_path_factory.mktemp("dealers"))
    yield made
    made.close()


def one_life(dealers, moment="never", seconds=None):
    """A dealer's session until it dies or three queries are answered; how many were."""
    pid, alice_link, bob_link = dealers.serve(moment)
    killer = threading.Timer(seconds or 0, os.kill, (pid, signal.SIGKILL))
    if seconds is not None:
        killer.start()
    x, answered = examples(3, seed=pid), 0
    parties = Parties(alice_link, bob_link)
    try:
        for i in range(3):
            assert (parties.ask(x[i : i + 1]) == classes(x[i : i + 1])).all()
            answered += 1
    except LinkError:
        pass
    finally:
        killer.cancel()
        parties.close()
        alice_link.close()
        bob_link.close()
    return answered


#: How many queries are answered when the dealer dies: right after he marked, before, between and after his sending.
DEATHS = {"renamed": 0, "claimed": 0, "before": 0, "between": 0, "sent": 1, "deleted": 1}


@pytest.mark.parametrize("moment", DEATHS)
def test_a_dealer_killed_at_the_worst_moment_repeats_nothing(dealers, terms, moment):
    dealers.tell("fill", 2, 3)
    ready = mpc.Stock(dealers.stock).ready(terms, MODE)
    assert one_life(dealers, moment) == DEATHS[moment]
    assert one_life(dealers) == 3
    assert mpc.Stock(dealers.stock).ready(terms, MODE) == ready - 2
    dealers.require_nothing_sent_twice()


def lives(dealers, terms, trials, seed):
    chance = random.Random(seed)  # noqa: S311
    interrupted, length = 0, 0.05
    for _ in range(trials):
        dealers.tell("fill", 2, 2)
        interrupted += one_life(dealers, seconds=chance.uniform(0.0, length)) < 3
        started = time.monotonic()
        assert one_life(dealers) == 3
        length = time.monotonic() - started
    dealers.require_nothing_sent_twice()
    assert interrupted > trials // 4


def test_dealers_killed_at_any_moment_repeat_nothing(dealers, terms):
    lives(dealers, terms, trials=24, seed=1)


@pytest.mark.slow
def test_hundreds_of_dealers_killed_at_any_moment_repeat_nothing(dealers, terms):
    lives(dealers, terms, trials=400, seed=2)


def test_a_dealing_whose_maker_was_killed_is_never_used(dealers, terms):
    chance = random.Random(3)  # noqa: S311
    for _ in range(8):
        pid = int(dealers.tell("filler"))
        time.sleep(chance.uniform(0.0, 0.02))
        os.kill(pid, signal.SIGKILL)
    stock = mpc.Stock(dealers.stock)
    deadline = time.monotonic() + 5
    while folders(stock, "filling") and time.monotonic() < deadline:  # the last one may still be dying
        time.sleep(0.01)
        stock = mpc.Stock(dealers.stock)
    assert not folders(stock, "filling")
    complete = stock.ready(terms, MODE)
    for _ in range(complete):
        dealing = stock.claim(terms, MODE)
        assert len(everything(dealing)) >= 1
        dealing.close()
    assert stock.claim(terms, MODE) is None


def test_a_disk_that_takes_no_more_is_said_in_one_line(dealers, terms):
    before = mpc.Stock(dealers.stock).ready(terms, MODE)
    said = dealers.tell("fill-limited", 300)
    assert re.search(r"the stock cannot be filled \(File too large\)$", said)
    assert mpc.Stock(dealers.stock).ready(terms, MODE) == before
    assert not folders(mpc.Stock(dealers.stock), "filling")
