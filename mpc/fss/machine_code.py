"""Functions compiled in memory for the processor they run on, by llvmlite, which is numba's compiler.

It needs no compiler on the machine and takes milliseconds.  Nothing is stored on disk, so code made for one processor
never meets another, and a package folder that cannot be written to is no matter.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

from llvmlite import binding as llvm  # type: ignore[import-untyped]
from llvmlite import ir

WORD = ir.IntType(64)


@cache
def aes_blocks() -> int:
    """How many blocks of 16 bytes one AES instruction takes on this processor: 4, 2, 1, or 0 where there is none."""
    try:
        has = llvm.get_host_cpu_features()
    except RuntimeError:  # LLVM cannot tell what this processor has
        return 0
    if has.get("vaes") and has.get("avx512f"):
        return 4
    if has.get("vaes") and has.get("avx2"):
        return 2
    return 1 if has.get("aes") and has.get("sse4.1") else 0


class MachineCode:
    """A function of 64-bit words, addresses among them, that returns nothing; a call lets other threads run.

    ``emit(builder, arguments)`` writes its instructions; the names in ``arguments`` give their order.
    """

    def __init__(self, arguments: tuple[str, ...], emit: Callable[[ir.IRBuilder, dict[str, ir.Value]], None]) -> None:
        module = ir.Module()
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORD] * len(arguments)), "main")
        builder = ir.IRBuilder(function.append_basic_block())
        emit(builder, dict(zip(arguments, function.args, strict=True)))
        builder.ret_void()

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=llvm.get_host_cpu_features().flatten(), opt=3
        )
        parsed = llvm.parse_assembly(str(module))
        parsed.verify()
        self._engine = llvm.create_mcjit_compiler(parsed, machine)  # owns the memory the code lies in
        self._engine.finalize_object()
        prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_uint64] * len(arguments))
        self.call: Callable[..., None] = prototype(self._engine.get_function_address("main"))


def counted_loop(
    builder: ir.IRBuilder,
    bound: ir.Value,
    step: int,
    state: list[ir.Value],
    body: Callable[[ir.Value, list[ir.Value]], list[ir.Value]],
) -> list[ir.Value]:
    """Emits ``for i in range(0, bound, step): state = body(i, state)``; returns the state after the last turn."""
    start = [ir.Constant(WORD, 0), *state]
    before = builder.block
    head, inside, after = (builder.append_basic_block(name) for name in ("head", "inside", "after"))
    builder.branch(head)
    builder.position_at_end(head)
    current = [builder.phi(value.type) for value in start]
    builder.cbranch(builder.icmp_unsigned("<", current[0], bound), inside, after)
    builder.position_at_end(inside)
    following = [builder.add(current[0], ir.Constant(WORD, step)), *body(current[0], current[1:])]
    for phi, first, later in zip(current, start, following, strict=True):
        phi.add_incoming(first, before)
        phi.add_incoming(later, builder.block)
    builder.branch(head)
    builder.position_at_end(after)
    return current[1:]
