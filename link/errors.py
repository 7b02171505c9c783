"""What can go wrong on a link, one class each; every message is one line that says what happened and what to do."""

from __future__ import annotations


class LinkError(Exception):
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
