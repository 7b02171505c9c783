"""A dealer or a Bob as a process of its own: ``python party.py dealer`` or ``python party.py bob PORT NAME …``.

Prints the ports it listens on.  Bob serves one link after the other, the named networks in turn.
"""

import sys

import torch
from networks import INPUT_SHAPES, build

from sotto import mpc
from sotto.link import connect, listen


def dealer() -> None:
    with listen() as for_alice, listen() as for_bob:
        print(for_alice.address[1], for_bob.address[1], flush=True)
        alice = for_alice.accept(peer="alice")
        bob = for_bob.accept(peer="bob")
    mpc.Dealer(mode="crypten").serve(alice, bob)


def bob(port: str, *names: str) -> None:
    dealer_link = connect("127.0.0.1", int(port), peer="the dealer")
    with listen() as for_alice:
        print(for_alice.address[1], flush=True)
        for name in names:
            party = mpc.Bob(build(name), dealer_link, input_shape=INPUT_SHAPES[name], reveal="logits", mode="crypten")
            with for_alice.accept(peer="alice") as link:
                party.serve(link)


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        {"dealer": dealer, "bob": bob}[sys.argv[1]](*sys.argv[2:])
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(3)
