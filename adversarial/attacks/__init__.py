"""What an adversary can try against z, and what he gets; every function trains its attackers from scratch.

* :mod:`~sotto.adversarial.attacks.speech_detection`: was there speech?  The leak that the training fights;
* :mod:`~sotto.adversarial.attacks.gender`: does a woman speak?
* :mod:`~sotto.adversarial.attacks.speaker_identification`: who speaks, and are two clips of one person?
* :mod:`~sotto.adversarial.attacks.reconstruction`: the spectrogram, and the speech in it, from a trained inverter.

:class:`~sotto.adversarial.attacks.attacker.Attacker` is Bob with recordings of his own, and runs them all;
:mod:`~sotto.adversarial.attacks.detection`, :mod:`~sotto.adversarial.attacks.identification` and
:mod:`~sotto.adversarial.attacks.classifiers` are what he trains.  scikit-learn, on which they stand, is imported when
one of them is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
