"""Alice, Bob and the dealer as three processes of the system: right answers, separate memories, clear ends."""

import re
import time
from pathlib import Path

import masked_networks as networks
import masked_parties as parties
import numpy as np
import pytest
import torch

from sotto import mpc
from sotto.link import LinkError, connect
from sotto.mpc.protocols.semi_honest.evaluation import weight_words
from sotto.mpc.sharing import ring
from tests.error_codes import raises_code
from tests.scripts import Script

PARTIES = Path(__file__).parents[2] / "example_parties"
DEADLINE = 20.0  # seconds within which everybody must have noticed that somebody is gone


class Process:
    """One ``masked_party.py``."""

    def __init__(self, *arguments):
        self.process = Script(PARTIES / "masked_party.py", *arguments)

    def numbers(self):
        """The numbers of its next line."""
        return [int(number) for number in self.process.stdout.readline().split()]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ending(self):
        """Exit code and last line of standard error, once it has ended."""
        _, errors = self.process.communicate(timeout=DEADLINE)
        return self.process.returncode, (errors.strip().splitlines() or [""])[-1]

    def holds(self, *patterns):
        """Which of the byte strings are somewhere in its memory."""
        found = set()
        base = Path(f"/proc/{self.process.pid}")
        with (base / "mem").open("rb", buffering=0) as memory:
            for line in (base / "maps").read_text().splitlines():
                span = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
                if span is None:
                    continue
                start, end = (int(each, 16) for each in span.groups())
                try:
                    memory.seek(start)
                    content = memory.read(end - start)
                except (OSError, ValueError):
                    continue  # the kernel's own pages
                found |= {pattern for pattern in patterns if pattern in content}
        return found


@pytest.fixture
def start():
    """Starts processes and ends those that are left."""
    started = []

    def begin(*arguments):
        started.append(Process(*arguments))
        return started[-1]

    yield begin
    for one in started:
        one.kill()


@pytest.fixture
def dealer_and_bob(start):
    """Both processes for a network, and the ports at which Alice reaches them."""

    def begin(name):
        dealer = start("dealer")
        for_alice, for_bob = dealer.numbers()
        bob = start("bob", for_bob, name)
        return dealer, bob, for_alice, bob.numbers()[0]

    return begin


def features_of(name, n=3):
    return np.random.default_rng(11).normal(size=(n, *networks.build(name)[1])).astype(np.float32)


def labels_of(name, x):
    with torch.no_grad():
        return networks.build(name)[0](torch.from_numpy(x)).numpy().argmax(axis=1)


@pytest.fixture
def reached(dealer_and_bob):
    """Alice in this process, her link to Bob, and the processes of the dealer and of Bob."""
    links = []

    def begin(name):
        dealer, bob, dealer_port, bob_port = dealer_and_bob(name)
        links.extend([connect("127.0.0.1", dealer_port, peer="the dealer"), connect("127.0.0.1", bob_port, peer="bob")])
        return mpc.Alice(links[0], mode=parties.MODE), links[1], dealer, bob

    yield begin
    for link in links:
        link.close()


def secrets_of(name, x):
    """What must stay with its owner, as bytes: (Alice's, Bob's) numbers as floats and as words."""
    program, weights = parties.compiled(networks.build(name)[0], x.shape[1:])
    words = weight_words(program, weights)
    hers = [x[0].tobytes(), ring.encode(x[0]).tobytes()]
    his = [
        tensor.ravel()[:6].tobytes() for tensors in weights.values() for tensor in tensors.values() if tensor.size > 5
    ]
    his += [each.ravel()[:6].tobytes() for each in words[0].values()]
    return hers, his


def test_three_processes_answer_hold_nothing_of_one_another_and_end_with_alice(start, dealer_and_bob, tmp_path):
    dealer, bob, dealer_port, bob_port = dealer_and_bob("residual")
    x = features_of("residual")
    np.save(tmp_path / "features.npy", x)
    alice = start("alice", dealer_port, bob_port, tmp_path / "features.npy", "class")
    assert alice.numbers() == labels_of("residual", x).tolist()

    hers, his = secrets_of("residual", x)
    try:
        in_alice = alice.holds(*hers, *his)
    except PermissionError:
        pytest.skip("this system does not let a process read its children's memory")
    assert hers[0] in in_alice  # the search finds what is there
    assert not in_alice & set(his)
    in_bob = bob.holds(*hers, *his)
    assert in_bob >= {his[0], his[-1]}
    assert not in_bob & set(hers)
    assert dealer.holds(*hers, *his) == set()

    started = time.monotonic()
    alice.kill()
    assert bob.ending() == (0, "")
    assert dealer.ending() == (0, "")
    assert time.monotonic() - started < DEADLINE


@pytest.mark.slow
@pytest.mark.parametrize("when", ["prepared", "provisioned"])
def test_a_killed_bob_ends_alice_and_lets_the_dealer_go(reached, when):
    alice, link, dealer, bob = reached("two linears")
    x = features_of("two linears")
    alice.ask(x, link)
    if when == "provisioned":
        alice.provision(link, len(x))
    bob.kill()
    started = time.monotonic()
    with raises_code(LinkError, "peer-closed", match="bob closed the connection"):
        alice.ask(x, link)
    alice._dealer.close()
    code, said = dealer.ending()
    assert (code, said) == (0, "") or (code == 3 and "bob" in said)
    assert time.monotonic() - started < DEADLINE


def test_a_killed_dealer_ends_both_parties_with_a_reason(reached):
    alice, link, dealer, bob = reached("two linears")
    x = features_of("two linears")
    alice.provision(link, len(x))
    dealer.kill()
    assert (alice.ask(x, link).labels == labels_of("two linears", x)).all()  # what was dealt ahead still serves
    started = time.monotonic()
    with raises_code(LinkError, "peer-closed", match="the dealer closed the connection"):
        alice.ask(x, link)
    code, said = bob.ending()
    assert code == 3
    assert "dealer closed the connection" in said
    assert time.monotonic() - started < DEADLINE
