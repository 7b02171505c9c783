"""Sizes: every word fits where it is compared, cut or opened, and a tree of ANDs ends in one node."""

from __future__ import annotations

import networks
import pytest
import torch
from networks_of_two import program_of
from torch import nn

from sotto.mpc.errors import PlanError
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.program import Compare, Truncate
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.two_party import ring_sizes
from sotto.mpc.two_party.gates.gate_sizes import Gate
from sotto.mpc.two_party.linear_layers.bfv import MAX_PLAIN_BITS
from sotto.mpc.two_party.ring_sizes import RingSizes
from tests.error_codes import raises_code


@pytest.mark.parametrize("name", networks.INPUT_SHAPES)
@pytest.mark.parametrize("limit", [2.0, 8.0, 128.0])
@pytest.mark.parametrize("reveal", ["class", "logits"])
def test_every_word_fits(name, limit, reveal):
    program, sizes, _, _ = program_of(networks.build(name), networks.INPUT_SHAPES[name], reveal, limit)
    assert sizes.ring <= MAX_PLAIN_BITS
    for step in program.steps:
        if isinstance(step, Compare | Truncate):
            gate = sizes.gates[step.out]
            assert sizes.moduli[step.sources[0]] >= gate.needs
            assert sizes.moduli[step.out] == gate.modulus >= gate.width
    for step in program.products:
        assert program.formats[step.out].bits < sizes.ring == sizes.moduli[step.out]
    opened = program.index_bits or program.formats[program.output].bits + 1
    assert sizes.moduli[program.output] >= opened


@pytest.mark.parametrize("width", range(2, 60))
def test_leaves_cover_the_number_and_the_tree_joins_them(width):
    gate = Gate(60, 0, width, True)
    assert sum(gate.leaves) == width - 1
    assert max(gate.leaves) <= 4
    assert sum(gate.levels) == len(gate.leaves) - 1
    assert len(gate.levels) == (len(gate.leaves) - 1).bit_length()


def test_a_truncation_takes_one_transfer_an_element():
    gate = Gate(50, 16, 30, False)
    assert (gate.alice_chooses, gate.bob_chooses) == (1, 0)
    assert Gate(30, 0, 30, False).alice_chooses == 0


def test_a_network_too_wide_loses_bits_before_its_products_or_is_refused():
    module, shape = networks.build("mixed"), networks.INPUT_SHAPES["mixed"]
    plan, weights = trace(module, shape, input_limit=8.0)
    with raises_code(PlanError, "words-too-wide", match="words of 61 bits, mode 'two-party' has 59"):
        RingSizes.of(compile_program(plan, value_ranges(plan, weights), "class"))
    _, sizes, _, _ = program_of(module, shape)
    assert sizes.ring <= MAX_PLAIN_BITS
    with torch.no_grad():
        module.head.weight *= 2.0**15
    with raises_code(PlanError, "words-too-wide"):
        program_of(module, shape, "logits")


def test_a_network_without_weights_and_one_too_large_for_memory_are_refused(monkeypatch):
    with raises_code(PlanError, "no-weights"):
        program_of(nn.Sequential(nn.ReLU()), (4,))
    monkeypatch.setattr(ring_sizes, "_MOST_CIPHERTEXTS", 3)
    with raises_code(PlanError, "too-many-ciphertexts", match="conv1 takes more than 3 ciphertexts"):
        program_of(networks.build("frames"), networks.INPUT_SHAPES["frames"])
