"""Other systems on the same models, clips and networks: what a user would pick instead.

* :mod:`~bench.peers.crypten_program`: stock CrypTen over its own gloo transport;
* :mod:`~bench.peers.spu_program`: SecretFlow SPU's SEMI2K, from an environment of its own;
* :mod:`~bench.peers.openfhe_program`: OpenFHE's CKKS, from an environment of its own;
* :mod:`~bench.peers.two_processes`: how such a program runs its two parties and asks its queries;
* :mod:`~bench.peers.diagonals`: a polynomial network in the slots of a ciphertext;
* :mod:`~bench.peers.framing`: messages with a length, bounded;
* :mod:`~bench.peers.socket_bytes`: what a process has sent, by the kernel's count;
* :mod:`~bench.peers.workloads`: which networks a peer evaluates, and how they are described to it;
* :mod:`~bench.peers.errand`: how such a program is started, on which network, and what it answers;
* :mod:`~bench.peers.comparison`: their rows, which carry the parameter ``peer``.
"""
