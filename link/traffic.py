"""Counters of one side of a link: bytes and messages that really crossed it, and rounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Direction = Literal["sent", "received"]

#: Called with (direction, message name, payload) for every message of a link; sees what the party sees.
Observer = Callable[[Direction, str, memoryview], None]


@dataclass
class Traffic:
    """Bytes on the wire (headers included, TCP/IP and TLS overhead not), messages, and rounds of one side.

    A round is one wait for the peer: a run of sends (possibly none) followed by a run of receives.
    """

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0
    rounds: int = 0
    _waiting_for_send: bool = False

    def sent(self, size: int) -> None:
        self.bytes_sent += size
        self.messages_sent += 1
        self._waiting_for_send = False

    def received(self, size: int) -> None:
        self.bytes_received += size
        self.messages_received += 1
        if not self._waiting_for_send:
            self.rounds += 1
        self._waiting_for_send = True

    def snapshot(self) -> Traffic:
        """A copy that later traffic does not change."""
        return replace(self)

    def since(self, earlier: Traffic) -> Traffic:
        """What has come on top of ``earlier``."""
        return Traffic(
            self.bytes_sent - earlier.bytes_sent,
            self.bytes_received - earlier.bytes_received,
            self.messages_sent - earlier.messages_sent,
            self.messages_received - earlier.messages_received,
            self.rounds - earlier.rounds,
        )
