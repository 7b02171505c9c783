"""Gender: does somebody who sees z of a clip with speech know whether a woman or a man speaks?

The paper names gender among what speech gives away (section 1) and does not train against it: hiding whether there is
speech should hide it too, and this attack looks whether it does.
"""

from __future__ import annotations

import numpy.typing as npt

from sotto.adversarial.attacks.detection import Detection, detect


def attack(
    z_train: npt.ArrayLike,
    female_train: npt.ArrayLike,
    z_test: npt.ArrayLike,
    female_test: npt.ArrayLike,
    *,
    seed: int,
    speakers: npt.ArrayLike | None = None,
) -> Detection:
    """Train fresh attackers on clips with speech of known women and men; judge them on other speakers.

    Parameters
    ----------
    z_train, z_test
        representations (n, d) of clips with speech; the two parts must share no speaker, or the
        attackers recognise persons.
    female_train, female_test
        (n,) whether the speaker is a woman.
    seed
        of the folds, the initial weights and the trees.
    speakers
        (n,) who speaks in the training clips; a speaker is kept in one fold.

    Raises
    ------
    AttackError
        the arrays do not fit together, hold values that are not finite, or lack one of the two sexes.
    """
    return detect(z_train, female_train, z_test, female_test, seed=seed, groups=speakers)
