"""The network as a circuit: layers, packing, program, modulus chain, parameter sets."""
