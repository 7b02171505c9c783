"""Speech detection: does somebody who sees z know whether there was speech?  The leak that the training fights.

The paper's measure of privacy (section 3.4, "SAD accuracy" and "AUC score"): 0.5 is what it aims at, for the area and,
as half of the clips hold speech, for the accuracy.
"""

from __future__ import annotations

import numpy.typing as npt

from sotto.adversarial.attacks.detection import Detection, detect


def attack(
    z_train: npt.ArrayLike,
    speech_train: npt.ArrayLike,
    z_test: npt.ArrayLike,
    speech_test: npt.ArrayLike,
    *,
    seed: int,
    groups: npt.ArrayLike | None = None,
) -> Detection:
    """Train fresh attackers on z of clips whose speech is known; judge them on other people's clips.

    Parameters
    ----------
    z_train, z_test
        representations (n, d); the two parts should share no recording and no speaker.
    speech_train, speech_test
        (n,) whether the clip holds speech.
    seed
        of the folds, the initial weights and the trees.
    groups
        (n,) a label of every training clip (its recording) that no two folds may share.

    Raises
    ------
    AttackError
        the arrays do not fit together, hold values that are not finite, or lack one of the two answers.
    """
    return detect(z_train, speech_train, z_test, speech_test, seed=seed, groups=groups)
