"""A dealer or a Bob of mode ``malicious`` as a process: ``malicious_party.py dealer``, ``… bob PORT NAME``.

Each prints the ports it listens on first.
"""

import sys

import torch
from networks import INPUT_SHAPES, build

from sotto import mpc
from sotto.link import connect, listen

MODE = "malicious"


def dealer() -> None:
    with listen() as for_alice, listen() as for_bob:
        print(for_alice.address[1], for_bob.address[1], flush=True)
        alice, bob = for_alice.accept(peer="alice"), for_bob.accept(peer="bob")
    mpc.Dealer(mode=MODE).serve(alice, bob)


def bob(port: str, name: str) -> None:
    dealer_link = connect("127.0.0.1", int(port), peer="the dealer")
    shape = INPUT_SHAPES[name]
    party = mpc.Bob(build(name), dealer_link, input_shape=shape, mode=MODE, input_limit=4.0, reveal="logits")
    with listen() as for_alice:
        print(for_alice.address[1], flush=True)
        link = for_alice.accept(peer="alice")
    party.serve(link)


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"dealer": dealer, "bob": bob}[sys.argv[1]](*sys.argv[2:])
