"""What an adversary can try against hashes, and what he gets; every function runs the attack and returns numbers.

* :func:`known_key_attack`: hash and stolen key give the features back.
* :func:`known_pairs_attack`: hashes of known features give the key, and with it the features behind further hashes.
* :func:`linkability`: hashes under one key tell who speaks.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
