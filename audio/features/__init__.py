"""Features: frozen descriptions (one class each) and `extract`, which computes them for a corpus and keeps them.

extract(corpus, MFCC(40, frames=188))      float32 (n, 40, 188)
extract(corpus, EGeMAPS())                 float32 (n, 88)
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
