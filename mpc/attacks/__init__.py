"""Attacks on the mpc paradigm, really run: three processes, real links, a party that looks too closely or
cheats.

* :func:`search_seed` — a party that follows the protocol and keeps a transcript recovers the *other* party's
  generator, and with it Alice's features or Bob's first weights, from one query.  CrypTen masks with torch's
  Mersenne Twister, whose seeding keeps 32 bits of the seed, so 2^32 trials are the whole of the work.  This breaks
  mode ``crypten`` against semi-honest parties, today, on one core.
* :mod:`sotto.mpc.attacks.sweep` — a party behind a link that tampering (:mod:`sotto.mpc.attacks.cheats`) alters, drops,
repeats or
  delays any message of a session.  In modes ``crypten``, ``two-party`` and ``semi-honest`` Alice then accepts wrong
  classes, because nothing is authenticated; in mode ``malicious`` the honest party stops.

All run against the unmodified :class:`sotto.mpc.Alice`, :class:`sotto.mpc.Bob` and :class:`sotto.mpc.Dealer`.
"""

from sotto.mpc.attacks.cheats import KINDS, Cheat, Kind, Party, Place
from sotto.mpc.attacks.meanings import CHOICES_OF_INPUT, MEANINGS
from sotto.mpc.attacks.parties import Run, run_parties
from sotto.mpc.attacks.seed_search import Recovered, recover_features, recover_weights, search_seed
from sotto.mpc.attacks.sweep import (
    Adversary,
    Outcome,
    Sweep,
    Verdict,
    cheating_parties,
    every_cheat,
    every_meaning,
    tamper,
)

__all__ = [
    "CHOICES_OF_INPUT",
    "KINDS",
    "MEANINGS",
    "Adversary",
    "Cheat",
    "Kind",
    "Outcome",
    "Party",
    "Place",
    "Recovered",
    "Run",
    "Sweep",
    "Verdict",
    "cheating_parties",
    "every_cheat",
    "every_meaning",
    "recover_features",
    "recover_weights",
    "run_parties",
    "search_seed",
    "tamper",
]
