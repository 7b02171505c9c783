"""Oblivious transfer: one party offers two random pads, the other learns the one of its choice, neither learns more.

The field's layers, each in its file, from few slow transfers to many fast ones:

* :mod:`sotto.mpc.ot.base_ot`: 128 transfers by public-key operations (Chou and Orlandi 2015);
* :mod:`sotto.mpc.ot.punctured`: all but one of 2^k seeds from k transfers (Roy 2022, figure 13);
* :mod:`sotto.mpc.ot.extension`: any number of correlated transfers, made random by a hash (SoftSpoken for k > 1, IKNP
  for k = 1);
* :mod:`sotto.mpc.ot.hashing`: that hash (Guo, Katz, Wang and Yu 2020);
* :mod:`sotto.mpc.ot.ferret`: silent extension, hundreds of thousands of transfers from a megabyte of earlier ones (Yang
  et al. 2020), with :mod:`sotto.mpc.ot.correlated_tree` (Guo et al. 2023) and :mod:`sotto.mpc.ot.sparse_code`;
* :mod:`sotto.mpc.ot.transfers`: both directions between two parties over a link.

Threat model: the other party follows the protocol and studies what it sees.  It then learns neither the choices (all
it sees of them is masked by streams whose keys it lacks, or nothing at all) nor the pads that were not chosen.  A party
that departs from the protocol can learn choices and, from them, what they stand for: there is **no** consistency check
here.

Security: 114 bits, however many transfers a session makes, by these parts. Correlation Delta, seeds and stream keys:
128 bits each, Delta 127 in silent extension. Hash: AES-128 as an ideal cipher under a key for every 2^12 transfers,
each of them two targets of a search for Delta; that is the least of all levels. Streams: AES-128 in counter mode.
Silent extension: learning parity with
regular noise in a sparse code, more than 128 bits by our count (:mod:`sotto.mpc.ot.sparse_code`). Base transfers:
computational Diffie-Hellman on Curve25519, about 2^126 operations (Bernstein 2006), and SHA-256 as a random oracle.

Nothing is stored: all randomness comes from the operating system in each process, so a process that dies wastes its
transfers and no other one has the same; after a fork the state refuses to work.
"""

from sotto.mpc.ot import correlated_tree, hashing
from sotto.mpc.ot.transfers import Supply, Transfers, establish

__all__ = ["Supply", "Transfers", "establish", "warm_up"]


def warm_up() -> None:
    """Compile what will run; twice does no harm."""
    hashing.warm_up()
    correlated_tree.warm_up()
