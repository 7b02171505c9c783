"""What can go wrong in this paradigm besides the links, one class each; every message is one line without secrets."""

from __future__ import annotations

from sotto.link import Coded, LinkError


class MpcError(Coded):
    """Base of every error of this package; catching it and :class:`sotto.link.LinkError` catches them all."""


class CryptenMissing(MpcError, ImportError):
    """CrypTen, or something it needs, is not installed; the message says what to run."""


class ModelRefused(MpcError, ValueError):
    """Bob's module cannot be evaluated privately; the message names the part."""


class InputRefused(MpcError, ValueError):
    """Alice's features cannot go in: no numbers, a wrong shape, or too many examples."""


class PlanError(MpcError, ValueError):
    """A plan does not fit together or asks for too much; the message says where."""


class SessionBusy(MpcError, RuntimeError):
    """This process already holds a session, and CrypTen allows one."""


class ProtocolError(MpcError, RuntimeError):
    """The protocol ended in something that no honest run gives."""


class StockError(MpcError, RuntimeError):
    """The dealer's stock cannot be used: full disk, damaged file, wrong permissions."""


class CheatingDetected(MpcError, RuntimeError):
    """The other party departed from the protocol and was caught; the message names the check.  Nothing was revealed."""


def reason(error: BaseException) -> str:
    """What a peer may be told about ``error``: our own texts, which hold no secret, and of others only the kind."""
    return str(error) if isinstance(error, (MpcError, LinkError)) else f"internal error ({type(error).__name__})"
