"""Private speech inference between Alice, who has speech, and Bob, who has a model.

What is named here is imported when it is first used: importing sotto costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sotto.api.compare import compare
    from sotto.api.connect import connect
    from sotto.api.errors import InputRefused, ModelRefused, SessionError
    from sotto.api.local import local
    from sotto.link import Answer

    __version__: str

__all__ = ["Answer", "InputRefused", "ModelRefused", "SessionError", "__version__", "compare", "connect", "local"]

_HOMES = {
    "Answer": "sotto.link",
    "InputRefused": "sotto.api.errors",
    "ModelRefused": "sotto.api.errors",
    "SessionError": "sotto.api.errors",
    "compare": "sotto.api.compare",
    "connect": "sotto.api.connect",
    "local": "sotto.api.local",
}


def __getattr__(name: str) -> object:
    import importlib

    if name == "__version__":
        from importlib.metadata import version

        return version("sotto")
    if name not in _HOMES:
        raise AttributeError(f"module 'sotto' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
