"""Private speech inference between Alice, who has speech, and Bob, who has a model."""

from __future__ import annotations


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version  # read when asked for: importing sotto costs nothing

        return version("sotto")
    raise AttributeError(f"module 'sotto' has no attribute '{name}'")
