"""One party of mode ``semi-honest`` as a process: ``masked_party.py dealer``, ``… bob PORT NAME``,
``… alice DEALER_PORT BOB_PORT FEATURES.npy REVEAL``.

The dealer and Bob print the ports they listen on; Alice prints her labels.  Each then waits for its standard input to
close with everything still in memory, so that a test can look into it.
"""

import gc
import sys

import masked_networks
import numpy as np
import torch

from sotto import mpc
from sotto.link import connect, listen

MODE = "semi-honest"


def dealer() -> None:
    with listen() as for_alice, listen() as for_bob:
        print(for_alice.address[1], for_bob.address[1], flush=True)
        alice, bob = for_alice.accept(peer="alice"), for_bob.accept(peer="bob")
    mpc.Dealer(mode=MODE).serve(alice, bob)


def bob(port: str, name: str) -> None:
    dealer_link = connect("127.0.0.1", int(port), peer="the dealer")
    with listen() as for_alice:
        print(for_alice.address[1], flush=True)
        module, shape = masked_networks.build(name)
        party = mpc.Bob(module, dealer_link, input_shape=shape, mode=MODE, input_limit=8.0, reveal="logits")
        link = for_alice.accept(peer="alice")
    party.serve(link)
    sys.stdin.read()
    print(party)  # still there


def alice(dealer_port: str, bob_port: str, features: str, reveal: str) -> None:
    to_dealer = connect("127.0.0.1", int(dealer_port), peer="the dealer")
    with connect("127.0.0.1", int(bob_port), peer="bob") as to_bob:
        x = np.load(features)
        party = mpc.Alice(to_dealer, mode=MODE, reveal=reveal)
        print(*party.ask(x, to_bob).labels, flush=True)
        sys.stdin.read()
        print(x.shape, party)


if __name__ == "__main__":
    torch.set_num_threads(1)
    gc.disable()  # what was freed stays where it was as long as possible
    try:
        {"dealer": dealer, "bob": bob, "alice": alice}[sys.argv[1]](*sys.argv[2:])
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(3)
