"""Speech and sound: corpora of labelled clips, splits that keep speakers apart, and cached features.

Nothing here is secret from the machine it runs on: Alice uses it on her own recordings, Bob on what he trains with.
The cache (`sotto.audio.cache`) holds features of the recordings it has seen, unencrypted, in the user's cache folder;
whoever can read that folder learns them. Set SOTTO_CACHE to keep it elsewhere, delete the folder to forget it.
"""

import lazy_loader

#: Imported when they are first used: who needs one of them does not wait for the others' libraries.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
