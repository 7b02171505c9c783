"""The kernel gives the reference's words, bit for bit, with each kind of register this processor has."""

from __future__ import annotations

import secrets
from functools import cache

import numpy as np
import pytest

from sotto.mpc.fss import dcf, dcf_reference, lane_groups, machine_code
from sotto.mpc.fss.dcf_kernel import Kernel

kernel_with = cache(Kernel)


@pytest.fixture(params=[1, 2, 4])
def kernel(request):
    if request.param > machine_code.aes_blocks():
        pytest.skip(f"this processor has no AES instruction for {request.param} blocks")
    return kernel_with(request.param)


def uniform(*shape):
    return np.frombuffer(secrets.token_bytes(8 * int(np.prod(shape))), np.uint64).reshape(shape)


def compare(kernel, lanes, width):
    alpha, roots, key, delta = uniform(lanes), uniform(2, lanes, 2), secrets.token_bytes(16), uniform(2)
    gate = secrets.randbits(64)
    points = np.where(uniform(lanes) & np.uint64(1), uniform(lanes), alpha)
    bits = dcf_reference.generate_bits(alpha, width, roots, key, gate)
    nodes = np.stack([roots[0], roots[0] ^ (delta | np.array([1, 0], np.uint64))])
    tags = dcf_reference.generate_tags(alpha, width, nodes, key, gate)
    np.testing.assert_array_equal(kernel.generate_bits(alpha, width, roots, key, gate), bits)
    np.testing.assert_array_equal(kernel.generate_tags(alpha, width, nodes, key, gate), tags)
    for party in (0, 1):
        np.testing.assert_array_equal(
            kernel.evaluate_bits(party, points, width, roots[party], bits, key, gate),
            dcf_reference.evaluate_bits(party, points, width, roots[party], bits, key, gate),
        )
        np.testing.assert_array_equal(
            kernel.evaluate_tags(points, width, nodes[party], tags, key, gate),
            dcf_reference.evaluate_tags(points, width, nodes[party], tags, key, gate),
        )


@pytest.mark.parametrize("width", [*range(13), 30, 61, 62, 63])
def test_every_shape_of_tree(kernel, width):
    compare(kernel, 37, width)


# Around the sizes at which the kernel goes from single lanes to registers, to full groups, to more than one tile.
@pytest.mark.parametrize(
    "lanes", [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 255, 256, 257, 289, 511, 512, 513, 700, 1025]
)
def test_every_number_of_lanes(kernel, lanes):
    compare(kernel, lanes, 17)


def test_nothing_is_written_beside_the_result(kernel):
    """Groups that overlap at the end, and states put aside, stay within what they are given."""
    for lanes in (1, 5, 33, lane_groups.TILE_LANES + 1):
        guarded = np.full(lanes + 128, 0xEE, np.uint8)
        walk = kernel._evaluate_bits
        corrections, root, points = uniform(14, lanes, 2), uniform(lanes, 2), uniform(lanes)
        walk(13, bytes(16), 5, corrections, 20, points, root, guarded[64:-64], 0)
        assert (guarded[:64] == 0xEE).all()
        assert (guarded[-64:] == 0xEE).all()
        assert guarded[64:-64].max() <= 1


def test_a_processor_without_aes_instructions_takes_the_reference(monkeypatch):
    monkeypatch.setattr(dcf, "aes_blocks", lambda: 0)
    assert dcf._backend.__wrapped__() is dcf_reference


@pytest.mark.parametrize(
    ("features", "blocks"),
    [
        ({"aes": True, "sse4.1": True, "avx2": True, "vaes": True, "avx512f": True}, 4),
        ({"aes": True, "sse4.1": True, "avx2": True, "vaes": True, "avx512f": False}, 2),
        ({"aes": True, "sse4.1": True, "avx2": True, "vaes": False, "avx512f": True}, 1),
        ({"neon": True, "aes": True}, 0),
        ({}, 0),
    ],
)
def test_registers_are_chosen_by_what_the_processor_has(monkeypatch, features, blocks):
    monkeypatch.setattr(machine_code.llvm, "get_host_cpu_features", lambda: features)
    assert machine_code.aes_blocks.__wrapped__() == blocks


def test_a_processor_llvm_does_not_know_has_no_kernel(monkeypatch):
    def unknown():
        raise RuntimeError("getting host cpu features is not supported")

    monkeypatch.setattr(machine_code.llvm, "get_host_cpu_features", unknown)
    assert machine_code.aes_blocks.__wrapped__() == 0
