"""RDAL-M: a representation of sound from which an event can be told and speech cannot (not in this release).

The paradigm: Alice runs a source separation network and a feature extractor, trained against a speech detector, and
sends Bob only the 64-dimensional representation z (Luong, Tran, Gharib, Drossos, Virtanen, "Representation learning for
audio privacy preservation using source separation and robust adversarial learning").  Privacy would rest on training,
not on cryptography: Bob sees z in clear, and what z still tells is an empirical question answered only by attackers
trained to win.

This package holds its name and its threat model; the networks, doors and attacks come with the release that trains
them, and no command offers the paradigm before that.
"""
