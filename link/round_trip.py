"""Bob's side of a paradigm whose whole query is one round trip: Alice greets once, then each query is a message."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakSet

from sotto.link.errors import LinkClosed
from sotto.link.link import Link
from sotto.link.transaction import fault_of_peer, transaction

Reaction = Callable[[bytearray], bytes]


@dataclass(frozen=True)
class RoundTrip:
    """What Bob takes and says: of ``hello`` and ``query`` the name and most bytes, of ``ready`` and ``reply`` the name.

    ``greet`` and ``answer`` make the message that follows out of the payload that came, or raise FrameError.
    """

    hello: tuple[str, int]
    ready: str
    query: tuple[str, int]
    reply: str
    greet: Reaction
    answer: Reaction
    _greeted: WeakSet[Link] = field(default_factory=WeakSet, repr=False)

    def serve_one(self, link: Link) -> bool:
        """Greet Alice if she has not been greeted, and answer one query; False when she closed before a query.

        Raises:
            FrameError: she sent something that is neither; she has been told.
        """
        while True:
            limits = dict([self.hello, self.query] if link in self._greeted else [self.hello])
            try:
                name, payload = link.receive_any(limits)
            except LinkClosed:
                return False
            except BaseException as error:
                link.fail(fault_of_peer(error))
                raise
            with transaction(link, reason=fault_of_peer):
                if name == self.query[0]:
                    link.send(self.reply, self.answer(payload))
                    return True
                ready = self.greet(payload)
                self._greeted.add(link)
                link.send(self.ready, ready)
