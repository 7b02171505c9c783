"""What an adversary can try against z, and what he gets; every function trains its attackers from scratch.

* :mod:`~adversarial.attacks.speech_detection`: was there speech?  The leak that the training fights.
"""
