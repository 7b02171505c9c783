"""Every decoder that reads what a peer or a peer's file says, under malformed input.

The property: whatever comes in, a decoder gives back a value or raises one of the errors it declares, on one line; it
never crashes, hangs, or allocates more than its input can justify.  :mod:`sotto.bench.fuzzing.decoders` lists the
decoders,
:mod:`sotto.bench.fuzzing.mutation` bends valid inputs, :mod:`sotto.bench.fuzzing.process` runs one decoder in a process
of its own, where a crash of a C++ library is seen too, and :mod:`sotto.bench.fuzzing.campaign` runs them all.
"""
