"""Private inference by secret sharing: Alice has speech features, Bob has a network, a dealer has neither.

Every value is split into two words that add up to it modulo 2^64; Alice holds one, Bob the other, and the dealer
hands out the correlated randomness that lets them multiply and compare.  Source: Bittner, De Cock and Dowsley,
"Private speech classification with secure multiparty computation"; the protocols are those of CrypTen 0.4.1
(Knott et al. 2021), run over this project's links instead of gloo.

Mode ``crypten``: what it protects, and what it does not
---------------------------------------------------------

Adversary: one of Alice and Bob, semi-honest: it follows the protocol and studies what it sees.  Trusted: the
dealer, who must side with neither (with either one he can read everything), and whose randomness is asked for in
the middle of a query, so his time is online time.  Links must be private; between machines use TLS.

Alice learns the class index of each example and nothing else (``reveal="logits"``: the logits too, if Bob agrees).
Bob and the dealer learn no answer.  Public: the shapes of the layers, the number of examples, the declared input
range, sizes and timing of messages.

**This mode is the reference row of the comparison, not a way to protect a recording.**

* *Masks can be searched.*  Shares come from torch's Mersenne Twister.  We seed it from the operating system with
  64 bits, and torch keeps 32 of them; so a semi-honest Bob who stores one query reads Alice's features, and Alice
  reads the weights of his first layer, after at most 2^32 trials: minutes on one core, run by
  :mod:`mpc.attacks.seed_search`.  The computational security level is 32 bits.
* *Nothing is authenticated.*  A party that departs from the protocol makes Alice accept a wrong class unnoticed
  (:mod:`mpc.attacks.tampering`), and can shape its lies to learn more than the answer.  CrypTen's
  ``active_security`` flag does not change that and is not used.
* *Truncation is probabilistic.*  Each division of a product by 2^16 goes wrong with probability |x| · 2^16 / 2^64,
  x being the word after it, and then the answer is garbage.  :mod:`mpc.fixed_point` keeps wires in range; a network
  of 10^4 products around 1 loses about one query in 4 · 10^5.

A process holds one session at a time, because CrypTen keeps its state in module globals.  CrypTen is optional:
without it this package imports, and making a party raises :class:`CryptenMissing`, which says what to install.
"""

from mpc.alice import Alice
from mpc.bob import Bob
from mpc.dealer import Dealer
from mpc.errors import (
    CheatingDetected,
    CryptenMissing,
    InputRefused,
    ModelRefused,
    MpcError,
    PlanError,
    ProtocolError,
    SessionBusy,
    StockError,
)
from mpc.messages import Mode, Reveal, Terms
from mpc.plan import ModelPlan
from mpc.stock import Stock

__all__ = [
    "Alice",
    "Bob",
    "CheatingDetected",
    "CryptenMissing",
    "Dealer",
    "InputRefused",
    "Mode",
    "ModelPlan",
    "ModelRefused",
    "MpcError",
    "PlanError",
    "ProtocolError",
    "Reveal",
    "SessionBusy",
    "Stock",
    "StockError",
    "Terms",
]
