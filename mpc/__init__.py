"""Private inference by secret sharing: Alice has speech features, Bob has a network, a dealer has neither.

Every value is split into two words that add up to it modulo 2^64; Alice holds one, Bob the other, and the dealer
hands out the correlated randomness that lets them multiply and compare; in mode ``two-party`` they make it themselves.
Source: Bittner, De Cock and Dowsley, "Private speech classification with secure multiparty computation".  Four modes
under the same doors:

==============  ==========================================================  =======================================
mode            protocol                                                    holds against
==============  ==========================================================  =======================================
``malicious``   authenticated shares (SPDZ2k), tagged comparison bits, one  one of Alice and Bob deviating at will
                check before the output
``semi-honest`` masked wires, comparisons by function secret sharing        one of Alice and Bob reading along
``two-party``   the same without a dealer: encrypted products ahead of the  one of Alice and Bob reading along, with
                query, comparisons by oblivious transfer                    nobody else to trust
``crypten``     CrypTen 0.4.1 (Knott et al. 2021) over our own links        nobody with an afternoon; a reference row
==============  ==========================================================  =======================================

In all modes
------------

Trusted, in all modes but ``two-party``: **the dealer**, who sees no input and no output and must side with neither
party: with either one he can read everything.  The link between Alice and Bob, and theirs to him, must be private;
between machines use TLS.

Alice learns the class index of each example and nothing else (``reveal="logits"``: the logits too, if Bob agrees; asked
for one example again and again they tell more than their 16 fractional bits, because roundings differ.
``reveal="values"``: values of a network without classes, and a power of two that bounds their error).  What Bob and
the dealer receive says nothing of an answer, as far as the mode holds; Bob learns one if Alice acts on it where he sees
it.  Public, to both: the layers and their shapes, the numbers written in the network's code (factors, slopes, epsilons;
its tensors are secret), the curves that stand for its functions, the number of queries and examples, the declared input
range, sizes and timing of messages, and that a session ended; in our own modes also, for each value, the power of two
that bounds it (:mod:`sotto.mpc.graph.ranges`).

In modes ``malicious`` and ``semi-honest`` the class is that of Bob's network in fixed point, publicly rounded: 16
fractional bits, and each gate that cuts bits rounds up or down at a threshold that is uniform, drawn anew for each gate
and known to both parties (:mod:`sotto.mpc.fss.comparison_gate`); mode ``two-party`` rounds as
:mod:`sotto.mpc.two_party` says.  Where two logits of the float network lie closer than these roundings move them,
either of the two classes may be told.

``Bob(weights="public")`` tells Alice every weight and protects her features alone; the plan says so.  Products with
weights then need no masks, no message and nothing from the dealer.

A softmax, log-softmax or sigmoid at the end of a network is left to Alice, who sees logits where scores are asked for.

No mode hides what the answers themselves say: many answers let Alice copy Bob's network.  Whoever refuses to go on ends
the session (abort, without fairness).

Mode ``malicious``
------------------

Adversary: one of Alice and Bob, actively corrupted: it deviates arbitrarily from the protocol, choice of its input and
stopping excepted.  Dealer honest and not colluding; between machines, so is whoever certifies who the dealer is.
64-bit ring, s = 64: a session accepts a wrong opening with probability below 2^-57, however many queries it has
(:mod:`sotto.mpc.protocols.malicious.opening_check`; what a simulator does stands in
:mod:`sotto.mpc.protocols.malicious.evaluation`); 110-bit computational security (seeds of comparison keys, against any
number of them: :mod:`sotto.mpc.fss.dcf` derives it), 112 bits for the tags of comparison bits.  A failed check raises
:class:`CheatingDetected`, which names the check, ends the session and leaves the answer masked.
:mod:`sotto.mpc.attacks.sweep` cheats at every message of a query.

Who cheated can compute the other's key from what it is told in the check, so keys whose check did not pass are never
used again: whatever ends a query early, an interrupt at any instruction too, ends the session on both sides.  A session
is spent before its query begins, and alive again when the query has come to its end.

Whatever Bob does, which messages Alice sends, and how she ends, depend neither on her features nor on her answer:
values beyond the limit are clipped, a label that is no class is a number with a warning, and a Bob whose plan or ranges
are not those agreed on (:class:`Agreement`) is refused before the query.

A cheating party can still choose its input (Alice features, in or out of the declared range; Bob weights, of another
model than he describes, also ones whose values leave the ranges he declared, which makes the answer wrong; they are one
and the same for all queries of a session, and may be others in the next) and refuse to continue.  Each part of a long
query is checked before *its* answers are opened; a later part may still fail.

**The range of the inputs is not proven.**  An Alice who leaves it is told a class that another function of Bob's
weights gives: values wrap modulo 2^64, and a feature can be chosen so that the class is one exact bit of a weight, the
next query's the bit above it.  With C classes that is at most log2(C + 1) bits an example, none of them being an
answer too; within the range it takes many more queries to learn as much about a weight.  With ``reveal="logits"`` it is
up to 64 bits for each class of each example: whole weights at once.

Mode ``semi-honest``
--------------------

Adversary: one of Alice and Bob, who follows the protocol and studies what it sees.  110-bit computational security, as
above; every opened word is uniform.  **A party that departs from the protocol makes Alice accept a wrong class
unnoticed** (the same sweep shows how often), and can shape its lies to learn more than the answer.

Mode ``two-party``
------------------

Adversary as in mode ``semi-honest``, and nobody has to be trusted by both. 114-bit computational security
(:mod:`sotto.mpc.ot`; ring learning with errors: 128), statistical 40 bits a result for what
noise says of Bob's weights. What it rests on and what it does not claim stands in :mod:`sotto.mpc.two_party`. Prepared
ahead of the query it answers about as fast; preparing takes tens to hundreds of milliseconds and megabytes.

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

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
