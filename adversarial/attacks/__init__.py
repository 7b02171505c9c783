"""What an adversary can try against z, and what he gets; every function trains its attackers from scratch.

* :mod:`~adversarial.attacks.speech_detection`: was there speech?  The leak that the training fights;
* :mod:`~adversarial.attacks.gender`: does a woman speak?
* :mod:`~adversarial.attacks.speaker_identification`: who speaks, and are two clips of one person?
* :mod:`~adversarial.attacks.reconstruction`: the spectrogram, and the speech in it, from a trained inverter.

:class:`~adversarial.attacks.attacker.Attacker` is Bob with recordings of his own, and runs them all;
:mod:`~adversarial.attacks.detection`, :mod:`~adversarial.attacks.identification` and
:mod:`~adversarial.attacks.classifiers` are what he trains.
"""
