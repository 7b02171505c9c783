"""Plaintext models: the networks and classifiers that every paradigm evaluates privately.

Nothing here is private. A paradigm takes a trained module from here, and every private prediction is compared
with the prediction of the same module in the clear. Model files are safetensors with a JSON record
(:mod:`sotto.models.weights`); they hold no code.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
