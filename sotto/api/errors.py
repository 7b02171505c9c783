"""What can go wrong, the same in all paradigms; every message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sotto.bench.parties.parties import PartyError, QueryRefused
from sotto.link import Coded, LinkError
from sotto.mpc import MpcError


class ModelRefused(Coded, ValueError):
    """This paradigm cannot run this model, or something is missing for it: the message says which and why."""


class InputRefused(Coded, ValueError):
    """The examples cannot be asked about.  Nothing of them was sent, and the session goes on."""


class SessionError(Coded, RuntimeError):
    """A party failed or cannot be reached, or what it said does not hold.  The session is over: open a new one."""


@contextmanager
def in_session() -> Iterator[None]:
    """Errors of parties and paradigms as the two that a session has."""
    try:
        yield
    except QueryRefused as error:
        raise InputRefused(*error.args) from None
    except (LinkError, PartyError) as error:
        raise SessionError(*error.args) from error
    except ValueError as error:  # of a paradigm's Alice, which checks before she sends
        raise InputRefused(getattr(error, "code", "refused"), str(error)) from error
    except MpcError as error:
        raise SessionError(*error.args) from error


@contextmanager
def of_model(paradigm: str) -> Iterator[None]:
    """Errors about a model as :class:`ModelRefused`, which names the paradigm."""
    try:
        yield
    except ValueError as error:
        raise ModelRefused(getattr(error, "code", "refused"), f"{paradigm}: {error}") from error
