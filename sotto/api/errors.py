"""What can go wrong, the same in all paradigms; every message is one line that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sotto.bench.parties.parties import PartyError, QueryRefused
from sotto.link import LinkError
from sotto.mpc import MpcError


class ModelRefused(ValueError):
    """This paradigm cannot run this model, or something is missing for it: the message says which and why."""


class InputRefused(ValueError):
    """The examples cannot be asked about.  Nothing of them was sent, and the session goes on."""


class SessionError(RuntimeError):
    """A party failed or cannot be reached, or what it said does not hold.  The session is over: open a new one."""


@contextmanager
def in_session() -> Iterator[None]:
    """Errors of parties and paradigms as the two that a session has."""
    try:
        yield
    except QueryRefused as error:
        raise InputRefused(str(error)) from None
    except (LinkError, PartyError) as error:
        raise SessionError(str(error)) from error
    except ValueError as error:  # of a paradigm's Alice, which checks before she sends
        raise InputRefused(str(error)) from error
    except MpcError as error:
        raise SessionError(str(error)) from error


@contextmanager
def of_model(paradigm: str) -> Iterator[None]:
    """Errors about a model as :class:`ModelRefused`, which names the paradigm."""
    try:
        yield
    except ValueError as error:
        raise ModelRefused(f"{paradigm}: {error}") from error
