"""Other systems on the same models, clips and networks: what a user would pick instead.

* :mod:`~sotto.bench.peers.crypten_program`: stock CrypTen over its own gloo transport;
* :mod:`~sotto.bench.peers.spu_program`: SecretFlow SPU's SEMI2K, from an environment of its own;
* :mod:`~sotto.bench.peers.openfhe_program`: OpenFHE's CKKS, from an environment of its own;
* :mod:`~sotto.bench.peers.helayers_program`: HElayers' CKKS, from an environment of its own;
* :mod:`~sotto.bench.peers.orion_program`: Orion's CKKS, from an environment of its own, as one process;
* :mod:`~sotto.bench.peers.two_processes`: how such a program runs its two parties and asks its queries;
* :mod:`~sotto.bench.peers.diagonals`: a polynomial network in the slots of a ciphertext;
* :mod:`~sotto.bench.peers.squares`: a convolutional network of polynomials as convolutions and squares;
* :mod:`~sotto.bench.peers.tcp_parties`: two such parties with a TCP connection between them;
* :mod:`~sotto.bench.peers.framing`: messages with a length, bounded;
* :mod:`~sotto.bench.peers.socket_bytes`: what a process has sent, by the kernel's count;
* :mod:`~sotto.bench.peers.workloads`: which networks a peer evaluates, and how they are described to it;
* :mod:`~sotto.bench.peers.job`: how such a program is started, on which network, and what it answers;
* :mod:`~sotto.bench.peers.comparison`: their rows, which carry the parameter ``peer``.
"""
