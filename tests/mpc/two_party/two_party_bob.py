"""Bob of mode ``two-party`` as a process: ``two_party_bob.py NAME REVEAL``; prints the port he listens on, then serves
sessions one after the other until he is killed."""

import sys

import networks
import torch

from sotto import mpc
from sotto.link import LinkError, listen

if __name__ == "__main__":
    torch.set_num_threads(1)
    name, reveal = sys.argv[1:]
    module, shape = networks.build(name), networks.INPUT_SHAPES[name]
    bob = mpc.Bob(module, None, input_shape=shape, mode="two-party", reveal=reveal, input_limit=8.0)
    with listen() as listener:
        print(listener.address[1], flush=True)
        while True:
            with listener.accept(timeout=120, peer="alice") as link:
                try:
                    bob.serve(link)
                except LinkError as error:
                    print(error, file=sys.stderr)
