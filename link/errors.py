"""What can go wrong on a link, one class each; every message is one line that says what happened and what to do."""

from __future__ import annotations


class Coded(Exception):
    """Base of every error of this project: a code for programs and tests, and a line for people.

    Parameters
    ----------
    code : str
        What happened, in a word or a few joined by hyphens (``"peer-closed"``).  It stays the same from release to
        release, while the line may be worded better.  Together with the class it says what to do about the error.
    line : str
        What ``str(error)`` gives: one line that says what happened and what to do.  It alone may be sent to a peer.
    """

    def __init__(self, code: str, line: str) -> None:
        super().__init__(code, line)

    @property
    def code(self) -> str:
        """What happened, for a program."""
        return self.args[0]

    def __str__(self) -> str:
        return self.args[1]


class BadValue(Coded, ValueError):
    """A value that the function does not take."""


class BadType(Coded, TypeError):
    """A value of a kind that the function does not take."""


class WrongState(Coded, RuntimeError):
    """An object that is not ready for the call, or was used up."""


class LinkError(Coded):
    """Base of every error of a link; catching it catches them all."""


class LinkClosed(LinkError):
    """The peer closed the connection, or its process ended, before the awaited message arrived."""


class LinkTimeout(LinkError):
    """The awaited message did not arrive, or could not be sent, before the deadline."""


class FrameError(LinkError):
    """The peer sent something this side does not accept: wrong name, too large, malformed, other version."""


class PeerError(LinkError):
    """The peer gave up and said why."""


class CertificateRefused(LinkError):
    """The peer did not accept this side's certificate."""
