"""The built-in corpus: 24 espeak-ng voices, eight acted emotions, four sentences. No person spoke any of it.

It exists so that everything runs without a recording and without a download. Emotion is expressed by rule (see
`emotions`), so accuracy on it says that the machinery works, and nothing about emotion in people's speech; `NOTICE`
must stand beside every score on it. `making.make` speaks one into a folder of your choice.
"""

from sotto.audio.synthetic.emotions import EMOTIONS, SENTENCES
from sotto.audio.synthetic.stored import NOTICE, built_in, load
from sotto.audio.synthetic.voices import VOICES, Voice

__all__ = ["EMOTIONS", "NOTICE", "SENTENCES", "VOICES", "Voice", "built_in", "load"]
