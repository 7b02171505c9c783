"""RDAL-M: a learnt representation of sound from which the event can be told, and speech should not be.

A separation network masks speech out of the spectrogram, and a feature extractor makes 64 numbers of what is left; it
was trained to keep the sound event, and against a speech detector that is replaced by a freshly trained one every few
epochs.  Alice runs both (the sensor) and sends the 64 numbers, z; Bob classifies them.  One round trip, no key, no
cryptography.  (Luong, Tran, Gharib, Drossos, Virtanen, "Representation learning for audio privacy preservation using
source separation and robust adversarial learning".)

Who must be trusted for what:

* **whoever trained the sensor**, by Alice and by everybody who can be heard.  Nothing but the training decides what z
  holds, and weights do not show it: a sensor trained to carry speech to Bob looks like any other.  If Bob trains it,
  Bob must be trusted, or the sensor examined by somebody who attacks it as :mod:`sotto.adversarial.attacks` does, on
  recordings of the place where it will listen.  Alice can then keep to that sensor by its fingerprint;
* **Alice's device**, which hears everything in the clear;
* **Bob** to run the classifier as agreed.  He is not trusted with speech: he is the attacker.  He sees z, knows the
  sensor with all its weights (it is public; hiding it is no part of the protection), has recordings of his own, and
  trains what he likes on them.

What leaks:

* the answer, and its scores, whatever Alice asks him to return: Bob computes them;
* **everything that z still tells, in the clear.**  Privacy here is empirical.  There is no security level
  (``COMPUTATIONAL_BITS`` is None), no statistical bound, no proof: only the figures that the attackers here reached,
  on these recordings.  An attacker with other recordings, more of them, or a better architecture may do better, and a
  figure near chance means that these did not find it, not that it is not there;
* what many z tell together.  A sensor that listens all day sends one after the other, and a detector that is right a
  little more often than chance on one is right much more often on the average of ten;
* for sounds unlike the training's (other languages, whispering, crying, other rooms, louder speech), unknown: nobody
  trained against them.  Whoever can choose what the sensor hears can look for such sounds, with the sensor's gradients
  at hand;
* what was not trained against.  The training hides *whether* there is speech; who speaks, a woman or a man, what is
  said are hidden only as far as that hides them too, and :mod:`sotto.adversarial.attacks` tries each.  The event is not
  hidden, and an event can be private;
* when there is sound, how often, and that Alice's device is on.

Where Bob must not see anything he can attack, use ``mpc`` or ``he``.

Doors: :class:`Alice`, :class:`Bob`.  Mechanism, lowest first: ``spectrogram``, ``separation_network``, ``extractor``,
``sensor``, ``classifier``; for the training ``segments``, ``gradient_reversal``, ``discriminator`` and ``training``;
``model_file``, ``fingerprint``, ``messages``.
"""

import lazy_loader

COMPUTATIONAL_BITS: None = None
"""No adversary is kept out by a computational assumption; what z tells can only be measured."""

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
