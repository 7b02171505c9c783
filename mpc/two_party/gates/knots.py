"""A piecewise linear curve as one gate for each knot: constant + sum of jump · [t <= y] + bend · max(y - t, 0).

All knots of all elements are one gate's elements, so a curve takes the rounds of one ReLU and the work of as many as it
has knots.  Each cuts for itself; a curve's bound of error (:mod:`sotto.mpc.graph.ranges`) has room for a unit a knot.
"""

from __future__ import annotations

import numpy as np

from sotto.mpc.graph.program import Spline, Step
from sotto.mpc.sharing.ring import Words
from sotto.mpc.two_party.gates.gates import Selector


def inputs_of(step: Step, share: Words, first: bool) -> Words:
    """A party's share of what the gate of ``step`` takes: of y - t for each knot where it is a curve."""
    if not isinstance(step, Spline):
        return share
    repeated = np.broadcast_to(share.ravel(), (len(step.knots), share.size))
    if first:
        return repeated
    places = np.array([knot << step.cut for knot, _, _ in step.knots], np.int64).view(np.uint64)
    words: Words = repeated - places[:, None]
    return words


def output_of(step: Step, gate_output: Words, chosen: Selector, first: bool) -> Words:
    """Its share of the output from that of its gate's, which ``chosen`` made."""
    if not isinstance(step, Spline):
        return gate_output
    bends = np.array([bend for _, bend, _ in step.knots], np.int64).view(np.uint64)
    jumps = np.array([jump for _, _, jump in step.knots], np.int64).view(np.uint64)
    rows = gate_output.reshape(len(step.knots), -1)
    total: Words = (rows * bends[:, None]).sum(axis=0, dtype=np.uint64)
    if jumps.any():
        total = total + (chosen.bit().reshape(rows.shape) * jumps[:, None]).sum(axis=0, dtype=np.uint64)
    return total if first else total + np.int64(step.constant).view(np.uint64)
