"""Attacks on the mpc paradigm, really run: three processes, real links, a party that looks too closely or
cheats.

* :func:`search_seed` — a party that follows the protocol and keeps a transcript recovers the *other* party's
  generator, and with it Alice's features or Bob's first weights, from one query.  CrypTen masks with torch's
  Mersenne Twister, whose seeding keeps 32 bits of the seed, so 2^32 trials are the whole of the work.  This breaks
  mode ``crypten`` against semi-honest parties, today, on one core.
* :func:`tamper` — a party that adds to one word of one of its messages makes Alice accept a wrong class.  Nothing
  in this mode notices, because nothing is authenticated.

Both run against the unmodified :class:`mpc.Alice`, :class:`mpc.Bob` and :class:`mpc.Dealer`.
"""

from mpc.attacks.parties import Cheat, Run, run_parties
from mpc.attacks.seed_search import Recovered, recover_features, recover_weights, search_seed
from mpc.attacks.tampering import Tampering, tamper

__all__ = [
    "Cheat",
    "Recovered",
    "Run",
    "Tampering",
    "recover_features",
    "recover_weights",
    "run_parties",
    "search_seed",
    "tamper",
]
