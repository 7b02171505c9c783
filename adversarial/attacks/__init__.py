"""What an adversary can try against z, and what he gets; every function trains its attackers from scratch.

* :mod:`~sotto.adversarial.attacks.detection`: was there speech?  The leak that the training fights, and the paper's
  measure of privacy (section 3.4, "SAD accuracy" and "AUC score"): 0.5 is what it aims at, for the area and, as half of
  the clips hold speech, for the accuracy.  And does a woman speak?  The paper names gender among what speech gives away
  (section 1) and does not train against it: hiding whether there is speech should hide it too;
* :mod:`~sotto.adversarial.attacks.identification`: who speaks, what is said?
* :mod:`~sotto.adversarial.attacks.speaker_linking`: are two clips of one person?
* :mod:`~sotto.adversarial.attacks.reconstruction`: the spectrogram, and the speech in it, from a trained inverter.

:class:`~sotto.adversarial.attacks.attacker.Attacker` is Bob with recordings of his own, and runs them all;
:mod:`~sotto.adversarial.attacks.classifiers` are what he trains.  scikit-learn, on which they stand, is imported when
one of them is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
