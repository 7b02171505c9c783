"""Other systems on the same models, clips and networks: what a user would pick instead.

* :mod:`~sotto.bench.peers.programs`: each system's own program, of two parties;
* :mod:`~sotto.bench.peers.squares`: a convolutional network of polynomials as convolutions and squares;
* :mod:`~sotto.bench.peers.workloads`: which networks a peer evaluates, and how they are described to it;
* :mod:`~sotto.bench.peers.job`: how such a program is started, on which network, and what it answers;
* :mod:`~sotto.bench.peers.comparison`: their rows, which carry the parameter ``peer``.
"""
