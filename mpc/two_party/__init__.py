"""Mode ``two-party``: Alice and Bob make their own correlated randomness; there is no dealer to trust.

What is done when, and by which part:

* :mod:`sotto.mpc.two_party.session`: once a session, a key of Alice's and base transfers;
* :mod:`sotto.mpc.two_party.preprocessing`: once a query, what is prepared ahead of the features, kept on disk by
  :mod:`sotto.mpc.two_party.preprocessing_store`; :mod:`sotto.mpc.two_party.evaluation`: what follows them;
* :mod:`sotto.mpc.two_party.linear_layers.linear`: ahead, products of Bob's weights and Alice's random masks, encrypted;
* :mod:`sotto.mpc.two_party.linear_layers.bfv`: the encryption, its parameters, and why an answer hides the weights;
* :mod:`sotto.mpc.two_party.gates.correlations`: ahead, random transfers (:mod:`sotto.mpc.ot`) become triples and
  selections;
* :mod:`sotto.mpc.two_party.gates.gates`: online, ReLU, truncation and rounds of max pooling, with the comparison inside
  in :mod:`sotto.mpc.two_party.gates.millionaires`; :mod:`sotto.mpc.two_party.gates.knots`: curves by those gates;
* :mod:`sotto.mpc.two_party.gates.argmax`: all pairs of classes at once;
* :mod:`sotto.mpc.two_party.gates.multiplication`: triples for products of two secrets;
* :mod:`sotto.mpc.two_party.ring_sizes`: how many bits words have where; :mod:`sotto.mpc.two_party.gates.gate_sizes`:
  what each step takes of the correlated randomness;
* :mod:`sotto.mpc.two_party.linear_layers.coefficient_packing`, :mod:`sotto.mpc.two_party.linear_layers.residues`,
  :mod:`sotto.mpc.two_party.gates.bit_packing`, :mod:`sotto.mpc.two_party.linear_layers.seal_objects`: layouts of
  polynomials, of numbers modulo q, on the wire, and in SEAL's objects.

Threat model
------------

Adversary: one of Alice and Bob, who follows the protocol and studies what it sees.  Trusted: nobody else; the link must
be private (TLS between machines).  Alice learns the class index (``reveal="logits"``: the logits), Bob learns nothing;
public is what is public in the other modes (:mod:`sotto.mpc`).  Two things of Bob's weights show besides: which of two
sets of parameters hides them (``he.parameters``), so whether a layer's norm is above a bound, and by the time he takes
how many of his weight polynomials are zero throughout, as some of a pruned network are: he leaves them out.

What it rests on, with the source of each level:

* Alice's masks, against Bob: ring learning with errors, 128 bits (Homomorphic Encryption Standard, Albrecht et al.
  2018, table 1: degree 8192, at most 218 bits of modulus for a ternary secret; SEAL enforces it).
* Bob's weights, against Alice: the same assumption for the half of an answer that she did not make, and a uniform mask
  for the other; what noise says nevertheless is below 2^-40 a result (statistical; derived in
  :mod:`sotto.mpc.two_party.linear_layers.bfv`; networks of the size of ours have 2^-46 or less).  Distances add up over
  results and queries: 2^20 queries of 2^14 results leave 2^-12 at 46 bits.
* Comparisons and products of two secrets, for both: oblivious transfer, 114 bits however many transfers a session
  makes; where it is silent, learning parity with regular noise (:mod:`sotto.mpc.ot`).

What is **not** claimed: anything against a party that departs from the protocol.  Nothing is authenticated, so it can
make Alice accept a wrong class unnoticed (:mod:`sotto.mpc.attacks.sweep` does), and it can learn more than it should:
Bob's ciphertexts, masks and choices are not checked to be what the protocol says, so a lying Alice learns weights and a
lying Bob, features.  What is received is bounded in size and checked to be well-formed, no more.

Roundings: an output of a product may be one unit of its last place (32 fraction bits) off; a gate rounds up or down at
a public random threshold.  Neither depends on what it must not, and answers differ from the float network's as those of
the other modes do.

Randomness is used once.  It comes from the operating system in each process; what is stored
(:mod:`sotto.mpc.two_party.preprocessing_store`) is marked used before anything that depends on it is sent.  So a
process that dies wastes what it prepared, and no other one has the same.
"""
