"""Private speech inference between Alice, who has speech, and Bob, who has a model.

What is named here is imported when it is first used: importing sotto costs nothing.
"""

from __future__ import annotations

import lazy_loader

_attribute, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("sotto")
    return _attribute(name)
