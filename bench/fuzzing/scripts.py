"""Whole sessions against a party that follows the protocol and peers that only follow a script.

A script is what the party received in an honest session, link by link: (name, payload, bytes announced beyond the
payload).  Bent by :mod:`sotto.bench.fuzzing.mutation` it becomes messages that are oversize, cut short, replayed, out
of order, left out, or another role's.  The peers send theirs without listening and close, so nobody waits long.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from sotto.bench.fuzzing.decoder import Target
from sotto.link import FrameError, Link, LinkError, pair
from sotto.link.frames import HEADER, MAGIC, VERSION

Message = tuple[str, bytes, int]
Script = dict[str, list[Message]]
Party = Callable[[Mapping[str, Link]], object]

_DRAIN_SECONDS = 5.0


class Recorder:
    """Collects the script of one party out of its links."""

    def __init__(self) -> None:
        self.script: Script = {}

    def watch(self, name: str, link: Link) -> Link:
        heard = self.script.setdefault(name, [])

        def note(direction: str, message: str, payload: memoryview) -> None:
            if direction == "received":
                heard.append((message, bytes(payload), 0))

        link.observer = note
        return link


def honest(parties: Mapping[str, Party], pairs: tuple[tuple[str, str], ...]) -> dict[str, bytes]:
    """Run an honest session between ``parties`` over links ``pairs``; each party's script, encoded."""
    recorders = {name: Recorder() for name in parties}
    links: dict[str, dict[str, Link]] = {name: {} for name in parties}
    for one, other in pairs:
        left, right = pair(timeout=60)
        links[one][other] = recorders[one].watch(other, left)
        links[other][one] = recorders[other].watch(one, right)
    errors: list[BaseException] = []

    def run(name: str, party: Party) -> None:
        try:
            party(links[name])
        except Exception as error:
            errors.append(error)
        finally:
            for link in links[name].values():
                link.close()

    threads = [threading.Thread(target=run, args=item, daemon=True) for item in parties.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if errors:
        raise errors[0]
    return {name: msgspec.msgpack.encode(recorder.script) for name, recorder in recorders.items()}


def session_of(role: str, parties: Mapping[str, Party], declared: tuple[type[Exception], ...] = ()) -> Target:
    """Alice or Bob, two parties alone, in a whole session; ``declared`` errors besides those of links."""
    other = {"alice": "bob", "bob": "alice"}[role]
    scripts = honest(parties, (("alice", "bob"),))
    return Target(
        [scripts[role], scripts[role], scripts[other]],
        lambda data: play(data, parties[role], (other,)),
        (LinkError, *declared),
    )


def play(data: bytes, party: Party, peers: tuple[str, ...]) -> None:
    """Run ``party`` against peers that follow the script in ``data``; whatever the party raises goes on."""
    try:
        script = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise FrameError("no script") from None
    script = script if isinstance(script, dict) else {}
    links, threads = {}, []
    for peer in peers:
        ours, theirs = socket.socketpair()
        links[peer] = Link(ours, timeout=20.0, peer=peer)
        stream = b"".join(frame_of(entry) for entry in _listed(script.get(peer)))
        threads.append(threading.Thread(target=_speak, args=(theirs, stream), daemon=True))
    for thread in threads:
        thread.start()
    try:
        party(links)
    finally:
        for link in links.values():
            link.close()
        for thread in threads:
            thread.join(_DRAIN_SECONDS)


def _listed(entries: Any) -> list[Any]:
    return entries if isinstance(entries, list) else []


def frame_of(entry: Any) -> bytes:
    """A frame out of a script's entry, which may say anything."""
    parts = [*entry, None, None, None][:3] if isinstance(entry, list) else [entry, None, None]
    name = parts[0].encode()[:255] if isinstance(parts[0], str) else b"mpc.hello"
    payload = parts[1] if isinstance(parts[1], bytes) else b""
    extra = parts[2] if isinstance(parts[2], int) else 0
    return HEADER.pack(MAGIC, VERSION, len(name), (len(payload) + extra) % (1 << 64), 0) + name + payload


def _speak(sock: socket.socket, stream: bytes) -> None:
    """Say everything, however the other side takes it, and throw away what it says."""
    listener = threading.Thread(target=_drain, args=(sock,), daemon=True)
    listener.start()
    sock.settimeout(_DRAIN_SECONDS)
    try:
        sock.sendall(stream)
        sock.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the party has left
    listener.join(_DRAIN_SECONDS)
    sock.close()


def _drain(sock: socket.socket) -> None:
    try:
        while sock.recv(1 << 16):
            pass
    except OSError:
        pass
