"""Private inference by secret sharing: Alice has speech features, Bob has a network, a dealer has neither.

Every value is split into two words that add up to it modulo 2^64; Alice holds one, Bob the other, and the dealer
hands out the correlated randomness that lets them multiply and compare.  Source: Bittner, De Cock and Dowsley,
"Private speech classification with secure multiparty computation".  Three modes under the same doors:

==============  ==========================================================  =======================================
mode            protocol                                                    holds against
==============  ==========================================================  =======================================
``malicious``   authenticated shares (SPDZ2k), tagged comparison bits, one  one of Alice and Bob doing anything
                check before the output
``semi-honest`` masked wires, comparisons by function secret sharing        one of Alice and Bob reading along
``crypten``     CrypTen 0.4.1 (Knott et al. 2021) over our own links        nobody with an afternoon; a reference row
==============  ==========================================================  =======================================

In all modes
------------

Trusted: **the dealer**, who sees no input and no output and must side with neither party: with either one he can read
everything.  The link between Alice and Bob, and theirs to him, must be private; between machines use TLS.

Alice learns the class index of each example and nothing else (``reveal="logits"``: the logits too, if Bob agrees; asked
for one example again and again they tell more than their 16 fractional bits, because roundings differ.
``reveal="values"``: values of a network without classes, and a power of two that bounds their error).  Bob and the
dealer learn no answer.  Public: the layers and their shapes, the numbers written in the network's code (factors,
slopes, epsilons; its tensors are secret), the curves that stand for its functions, the number of examples, the declared
input range, sizes and timing of messages; in our two modes also, for each value, the power of two that bounds it
(:mod:`sotto.mpc.graph.ranges`).

``Bob(weights="public")`` tells Alice every weight and protects her features alone; the plan says so.  Products with
weights then need no masks, no message and nothing from the dealer.

A softmax, log-softmax or sigmoid at the end of a network is left to Alice, who sees logits where scores are asked for.

No mode hides what the answers themselves say: many answers let Alice copy Bob's network.  Whoever refuses to go on ends
the session (abort, without fairness).

Mode ``malicious``
------------------

Adversary: one of Alice and Bob, actively corrupted: he sends what he likes, when he likes.  Dealer honest and not
colluding.  64-bit ring, s = 64: a wrong opening is accepted with probability below 2^-57 per check; 125-bit
computational security (seeds of comparison keys), 127 bits for the tags of comparison bits.  A failed check raises
:class:`CheatingDetected`, which names the check, ends the session and leaves the answer masked.
:mod:`sotto.mpc.attacks.sweep` cheats at every message of a query.

A cheating party can still choose its input (Alice features, in or out of the declared range; Bob weights, also ones
whose values leave the ranges he declared, which makes the answer wrong) and refuse to continue.  An Alice who leaves
the range is told a class that another function of Bob's weights gives.  Each part of a long query is checked before
*its* answers are opened; a later part may still fail.

Mode ``semi-honest``
--------------------

Adversary: one of Alice and Bob, who follows the protocol and studies what it sees.  125-bit computational security;
every opened word is uniform.  **A party that departs from the protocol makes Alice accept a wrong class unnoticed**
(the same sweep shows how often), and can shape its lies to learn more than the answer.

Mode ``crypten``
----------------

**This mode is the reference row of the comparison, not a way to protect a recording.**

* *Masks can be searched.*  Shares come from torch's Mersenne Twister.  We seed it from the operating system with
  64 bits, and torch keeps 32 of them; so a semi-honest Bob who stores one query reads Alice's features, and Alice
  reads the weights of his first layer, after at most 2^32 trials: minutes on one core, run by
  :mod:`sotto.mpc.attacks.seed_search`.  The computational security level is 32 bits.
* *Nothing is authenticated*, as above.  CrypTen's ``active_security`` flag does not change that and is not used.
* *Truncation is probabilistic.*  Each division of a product by 2^16 goes wrong with probability |x| · 2^16 / 2^64,
  x being the word after it, and then the answer is garbage.  :mod:`sotto.mpc.graph.fixed_point` keeps wires in range; a
  network of 10^4 products around 1 loses about one query in 4 · 10^5.

A process holds one such session at a time, because CrypTen keeps its state in module globals.  CrypTen is optional:
without it this package imports and our modes work; making a party of this mode raises :class:`CryptenMissing`, which
says what to install.
"""

from sotto.mpc.alice import Alice
from sotto.mpc.bob import Bob
from sotto.mpc.dealer import Dealer
from sotto.mpc.dealing.stock import Stock
from sotto.mpc.errors import (
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
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.messages import Mode, Reveal, Terms

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
