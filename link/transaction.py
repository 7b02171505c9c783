"""Messages that belong together, such as a question and its answer: all of them, or the links are over."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from sotto.link.errors import FrameError
from sotto.link.link import Link


def fault_of_peer(error: BaseException) -> str:
    """A ``reason`` of :func:`transaction`: what the peer sent that is not accepted, and nothing of any other error."""
    return str(error) if isinstance(error, FrameError) else "stopped in the middle of a question"


@contextlib.contextmanager
def transaction(*links: Link, reason: Callable[[BaseException], str] | None = None) -> Iterator[None]:
    """Come to the end of the block, or end ``links`` on both sides: what is still on its way answers no later question.

    That holds for whatever leaves the block, interrupts and cancellation included, and at whatever instruction: the
    links are marked first and free for the next transaction only after the end.  What must not end a link is raised
    before the block or after it.

    Parameters
    ----------
    reason
        what the peers are told of the error; by default they only find the links closed.

    Raises
    ------
    LinkClosed
        an earlier transaction did not come to its end, or a link is over.
    """
    try:
        for link in links:
            link.begin()
        yield
        for link in links:
            link.commit()
    except BaseException as error:
        for link in links:
            if reason:
                link.fail(reason(error))
            else:
                link.close()
        raise
