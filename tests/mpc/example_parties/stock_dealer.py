"""Dealers that the tests of the stock kill: ``python stock_dealer.py STOCK LEDGER``, one command per line of input.

    fill COUNT QUERIES        make so many dealings of so many queries; prints "done"
    fill-limited BYTES        a process makes a dealing where no file may be longer; prints what it said
    filler                    a process that makes dealings until it is killed; prints its number
    serve ALICE BOB MOMENT    a process that serves the parties at those ports; prints its number

MOMENT is where it kills itself (see ``_die``), or "never".  Everything a dealer queues for a party is written into the
ledger first, so that a test sees what may have left even if nobody received it.
"""

import contextlib
import hashlib
import os
import resource
import signal
import sys
from pathlib import Path

from networks import tiny_terms

from sotto import mpc
from sotto.link import Link, LinkError, connect

MODE = "semi-honest"


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _dying_at(moment: str) -> None:
    """Arrange for death at ``moment``."""
    send, unlink, rename = Link.send, os.unlink, Path.rename

    def dying_send(self: Link, name: str, payload: bytes, **more: object) -> None:
        bundle, to_alice = name == "dealer.bundle", self.peer == "alice"
        if (moment == "claimed" and name == "dealer.session") or (moment == "before" and bundle and to_alice):
            _die()
        if moment == "between" and bundle and not to_alice:
            _die()
        send(self, name, payload, **more)
        if moment == "sent" and bundle and not to_alice:
            _die()

    def dying_unlink(path: str, **more: object) -> None:
        unlink(path, **more)
        if moment == "deleted":
            _die()

    def dying_rename(self: Path, target: Path) -> Path:
        renamed = rename(self, target)
        if moment == "renamed" and target.suffix == ".used":
            _die()
        return renamed

    Link.send, os.unlink, Path.rename = dying_send, dying_unlink, dying_rename


def _serve(stock: str, ledger: str, for_alice: str, for_bob: str, moment: str) -> None:
    record = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def observe(direction: str, name: str, payload: memoryview) -> None:
        if direction == "sent" and name.startswith("dealer."):
            os.write(record, f"{name} {hashlib.sha256(payload).hexdigest()}\n".encode())

    alice = connect("127.0.0.1", int(for_alice), peer="alice")
    bob = connect("127.0.0.1", int(for_bob), peer="bob")
    alice.observer = bob.observer = observe
    _dying_at(moment)
    with contextlib.suppress(LinkError):  # what the test sees at the other end
        mpc.Dealer(mode=MODE, stock=mpc.Stock(stock)).serve(alice, bob)


def _fill_limited(stock: str, limit: str) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        mpc.Stock(stock).fill(tiny_terms(), MODE)
        print("filled", flush=True)
    except mpc.StockError as error:
        print(error, flush=True)


def _fill_forever(stock: str) -> None:
    while True:
        mpc.Stock(stock).fill(tiny_terms(), MODE, count=2)


def main(stock: str, ledger: str) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    mpc.Stock(stock).fill(tiny_terms(), MODE)  # compiles what the children need
    print("ready", flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "fill":
            for _ in range(int(arguments[0])):
                mpc.Stock(stock).fill(tiny_terms(), MODE, count=int(arguments[1]))
            print("done", flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            work = {"serve": _serve, "fill-limited": _fill_limited, "filler": _fill_forever}[command]
            work(stock, *([ledger] if command == "serve" else []), *arguments)
            os._exit(0)
        if command != "fill-limited":
            print(pid, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
