"""Programs of other systems, each started by its path or module in an environment that has the system.

* :mod:`~sotto.bench.peers.programs.crypten_program`: stock CrypTen over its own gloo transport;
* :mod:`~sotto.bench.peers.programs.spu_program`: SecretFlow SPU's SEMI2K, from an environment of its own;
* :mod:`~sotto.bench.peers.programs.openfhe_program`: OpenFHE's CKKS, from an environment of its own;
* :mod:`~sotto.bench.peers.programs.helayers_program`: HElayers' CKKS, from an environment of its own;
* :mod:`~sotto.bench.peers.programs.orion_program`: Orion's CKKS, from an environment of its own, as one process;
* :mod:`~sotto.bench.peers.programs.two_processes`: how such a program runs its two parties and asks its queries, and
  what a process has sent, by the kernel's count;
* :mod:`~sotto.bench.peers.programs.tcp_parties`: two such parties with a TCP connection between them;
* :mod:`~sotto.bench.peers.programs.framing`: messages with a length, bounded;
* :mod:`~sotto.bench.peers.programs.diagonals`: a polynomial network in the slots of a ciphertext.

What they share needs the standard library and NumPy only, and Python 3.10.
"""
