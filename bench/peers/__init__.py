"""Other systems on the same models, clips and networks: what a user would pick instead.

* :mod:`~bench.peers.crypten_program`: stock CrypTen over its own gloo transport;
* :mod:`~bench.peers.spu_program`: SecretFlow SPU's SEMI2K, from an environment of its own;
* :mod:`~bench.peers.errand`: how such a program is started, on which network, and what it answers;
* :mod:`~bench.peers.comparison`: their rows, which carry the parameter ``peer``.
"""
