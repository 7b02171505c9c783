"""Programs, parties' sessions and random shares for the tests of mode ``two-party``."""

from __future__ import annotations

import secrets

import numpy as np

from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.two_party.ring_sizes import two_party_program


def program_of(module, input_shape, reveal="class", input_limit=8.0):
    """The program, its sizes and the weights of a module."""
    plan, weights = trace(module, input_shape, input_limit=input_limit)
    program, sizes = two_party_program(plan, value_ranges(plan, weights), reveal)
    return program, sizes, plan, weights


def words(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def shared(values, bits):
    """Both shares of ``values`` (int64 or uint64), uniform modulo 2^bits; the bits above are garbage."""
    alice = words(*values.shape)
    garbage = words(*values.shape) << np.uint64(bits) if bits < 64 else np.uint64(0)
    return alice, values.astype(np.int64).view(np.uint64) - alice + garbage


def signed(array, bits):
    """``array`` modulo 2^bits as signed numbers."""
    return (array << np.uint64(64 - bits)).view(np.int64) >> (64 - bits)
