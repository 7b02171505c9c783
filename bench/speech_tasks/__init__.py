"""The three speech tasks of the keyed papers on real data: plain networks, speaker-disjoint tests, one metric each.

* :mod:`~sotto.bench.speech_tasks.verification` (ASV): is it the same speaker?  Equal error rate, waveforms, 1 × 10
blocks.
* :mod:`~sotto.bench.speech_tasks.recognition` (ASR): which digits?  Word error rate, log-mel frames, 3 × 3 blocks.
* :mod:`~sotto.bench.speech_tasks.scenes` (ASC): which sound?  Accuracy, log-mel frames, 8 × 8 blocks.

Nothing here is private and nothing here knows a key: every task is a :class:`SpeechTask`, whose network and inputs the
experiments encrypt.
"""

from sotto.bench.speech_tasks.task import SpeechTask

__all__ = ["SpeechTask"]
