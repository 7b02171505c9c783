"""Whole sessions against a party that follows the protocol and peers that only follow a script.

A script is what the party received in an honest session, link by link: (name, payload, bytes announced beyond the
payload).  Bent by :mod:`tests.fuzz.inputs` it becomes messages that are oversize, cut short, replayed, out
of order, left out, or another role's.  The peers send theirs without listening and close, so nobody waits long.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import Any

import msgspec

from sotto.link import FrameError, Link, LinkError, pair
from sotto.link.frames import HEADER, MAGIC, VERSION
from tests.fuzz.decoders.decoder import Decoder, Target

Message = tuple[str, bytes, int]
Script = dict[str, list[Message]]
Party = Callable[[Mapping[str, Link]], object]

_DRAIN_SECONDS = 5.0


def honest(parties: Mapping[str, Party]) -> dict[str, bytes]:
    """Run an honest session between ``parties``, every two of them with a link; each party's script, encoded."""
    scripts: dict[str, Script] = {name: {} for name in parties}
    links: dict[str, dict[str, Link]] = {name: {} for name in parties}
    for one, other in combinations(parties, 2):
        left, right = pair(timeout=60)
        links[one][other] = _recorded(left, scripts[one].setdefault(other, []))
        links[other][one] = _recorded(right, scripts[other].setdefault(one, []))
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
    return {name: msgspec.msgpack.encode(script) for name, script in scripts.items()}


def _recorded(link: Link, script: list[Message]) -> Link:
    def note(direction: str, message: str, payload: memoryview) -> None:
        if direction == "received":
            script.append((message, bytes(payload), 0))

    link.observer = note
    return link


def target_of(
    role: str, parties: Mapping[str, Party], scripts: Mapping[str, bytes], declared: tuple[type[Exception], ...]
) -> Target:  # fmt: skip
    """A party in a whole session.  The others' scripts are tried too: messages that belong to somebody else."""
    peers = tuple(name for name in parties if name != role)
    return Target([scripts[role], *scripts.values()], lambda data: play(data, parties[role], peers), declared)


def session_decoders(
    paradigm: str, parties: Callable[[], Mapping[str, Party]], *declared: type[Exception]
) -> dict[str, Decoder]:  # fmt: skip
    """Alice and Bob, two parties alone, in whole sessions; ``declared`` errors besides those of links."""

    def make(role: str) -> Target:
        made = parties()
        return target_of(role, made, honest(made), (LinkError, *declared))

    return {
        f"{paradigm}.session.{role}": Decoder("the other party", partial(make, role), growth_mb=128)
        for role in ("alice", "bob")
    }


def play(data: bytes, party: Party, peers: tuple[str, ...]) -> None:
    """Run ``party`` against peers that follow the script in ``data``; whatever the party raises goes on."""
    try:
        script = msgspec.msgpack.decode(data)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise FrameError("no-script", "no script") from None
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
