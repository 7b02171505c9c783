"""Bob and the dealer as the user starts them, `sotto bob` and `sotto dealer`, for experiments that load or break them.

All on loopback without certificates.  A service's journal, which it writes as JSON, is read along: it says where the
service listens, which sessions ran and how they ended.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import psutil

from sotto.bench.operations.parties.fault_proxy import Ledger, Proxy
from sotto.link import Coded
from sotto.serving import registry
from sotto.serving.adapters import ClientCredentials
from sotto.serving.client import ClientConfig
from sotto.serving.service.processes import one_thread_each
from sotto.serving.service.sessions import Address
from sotto.serving.terms import read_terms

_START_SECONDS = 300.0


class ServiceError(Coded, RuntimeError):
    """A service did not do what an experiment needs; one line says what."""


class Service:
    """One `sotto` process and all that it starts.  Use as a context manager."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self.events: list[dict[str, Any]] = []
        self.complaints: list[str] = []
        self._news = threading.Condition()
        self._process: subprocess.Popen[str] | None = None
        self.address: Address = ("127.0.0.1", 0)

    def start(self) -> None:
        """Start, or start again at the same address; returns when clients are served."""
        port = self.address[1]
        listen = ["--listen", f"127.0.0.1:{port}", "--log-format", "json"]
        before = len(self.events)
        with one_thread_each():
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "sotto.cli", *self.arguments, *listen],
                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, start_new_session=True,
            )  # fmt: skip
        threading.Thread(target=self._read, args=(self._process,), daemon=True).start()
        serving = self.await_event("service.serving", after=before, seconds=_START_SECONDS)
        host, _, given = str(serving["address"]).rpartition(":")
        self.address = (host, int(given))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def tree(self) -> list[psutil.Process]:
        """The supervisor, then its host, then everything else that is alive."""
        if self._process is None or self._process.poll() is not None:
            return []
        try:
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    @property
    def host(self) -> psutil.Process | None:
        """The process that holds what is served; None while there is none."""
        if self._process is None or self._process.poll() is not None:
            return None
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self._process.pid).children():
                if any("spawn_main" in part for part in child.cmdline()):
                    return child
        return None

    @property
    def sessions(self) -> list[psutil.Process]:
        """The processes of sessions."""
        host = self.host
        with contextlib.suppress(psutil.NoSuchProcess):
            return host.children() if host else []
        return []

    def await_event(self, name: str, *, after: int = 0, seconds: float) -> dict[str, Any]:
        """The first event of that name from place ``after`` on.  Raises :class:`ServiceError`."""
        deadline = time.monotonic() + seconds
        with self._news:
            while not (found := [event for event in self.events[after:] if event["event"] == name]):
                left = deadline - time.monotonic()
                ended = self._process is None or self._process.poll() is not None
                if left <= 0 or ended:
                    said = self.complaints[-1] if self.complaints else "nothing"
                    raise ServiceError(
                        "too-late", f"{self.arguments[0]}: no {name} within {seconds:g} s; it said: {said[:300]}"
                    )
                self._news.wait(min(left, 0.5))
        return found[0]

    def await_idle(self, seconds: float) -> None:
        """Wait until no session is left.  Raises :class:`ServiceError`."""
        deadline = time.monotonic() + seconds
        while self.sessions:
            if time.monotonic() > deadline:
                raise ServiceError(
                    "sessions-left", f"{self.arguments[0]} still has {len(self.sessions)} sessions after {seconds:g} s"
                )
            time.sleep(0.05)  # looking reads every process of the machine

    def kill(self) -> None:
        """Kill every process of it at once, as a power failure would."""
        for process in reversed(self.tree):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process is not None:
            self._process.wait(10)

    def _read(self, process: subprocess.Popen[str]) -> None:
        for line in process.stderr or ():
            with self._news:
                try:
                    self.events.append(json.loads(line))
                except ValueError:
                    self.complaints.append(line.strip())
                self._news.notify_all()


class Deployment:
    """Bob, the dealer where there is one, and a proxy on every link between parties.  Use as a context manager.

    ``bob``, ``alice``: folders of :mod:`sotto.serving.folders`.  ``patience``: seconds that services and Alice give any
    message.  ``stock``: folder of the dealer's stock.
    """

    def __init__(
        self,
        name: str,
        mode: str,
        bob: Path,
        alice: Path,
        *,
        patience: float = 4.0,
        stock: Path | None = None,
        proxied: bool = True,
        ledger: Ledger | None = None,
    ) -> None:
        self.name, self.mode = name, mode
        self.patience = patience
        self._alice = alice
        self._proxied = proxied
        self._ledger = ledger
        self.with_dealer = registry.paradigm(name).needs_dealer(mode)
        limits = [
            "--timeout", f"{patience:g}", "--wait", f"{patience:g}", "--idle", f"{2 * patience:g}",
            "--max-per-client", "64", "--max-sessions", "64", "--max-waiting", "256", "--max-starts", "1000000",
        ]  # fmt: skip
        self.dealer: Service | None = None
        if self.with_dealer:
            self.dealer = Service(["dealer", "--mode", mode, *limits, *(["--stock", str(stock)] if stock else [])])
        self._bob_arguments = ["bob", str(bob), "--paradigm", name, *(["--mode", mode] if mode else []), *limits]
        self.bob = Service(self._bob_arguments)
        self.proxies: dict[str, Proxy] = {}

    def __enter__(self) -> Self:
        try:
            if self.dealer:
                self.dealer.start()
                at = self._between("bob-dealer", self.dealer.address, "bob")
                self._between("alice-dealer", self.dealer.address, "alice")
                self.bob.arguments = [*self._bob_arguments, "--dealer", f"{at[0]}:{at[1]}"]
            self.bob.start()
            self._between("alice-bob", self.bob.address, "")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for proxy in self.proxies.values():
            proxy.close()
        for service in self.services:
            service.kill()

    @property
    def services(self) -> list[Service]:
        return [service for service in (self.bob, self.dealer) if service]

    @property
    def own(self) -> ClientCredentials:
        """What Alice brings."""
        return ClientCredentials(self._alice)

    def client_config(self) -> ClientConfig:
        """A session of Alice's here."""
        bob = self.proxies["alice-bob"].address if self._proxied else self.bob.address
        dealer = None
        if self.dealer:
            dealer = self.proxies["alice-dealer"].address if self._proxied else self.dealer.address
        return ClientConfig(
            bob=bob,
            paradigm=self.name,
            mode=self.mode,
            dealer=dealer,
            terms=read_terms(self._alice),
            seconds=self.patience,
            opening_seconds=3 * self.patience,
        )

    def _between(self, name: str, target: Address, receiver: str) -> Address:
        if not self._proxied:
            return target
        self.proxies[name] = Proxy(target, receiver=receiver, ledger=self._ledger)
        return self.proxies[name].address


def memory_mb(processes: Sequence[psutil.Process]) -> float:
    """Memory that these processes hold and share with nobody, together."""
    return _together(processes, lambda process: process.memory_full_info().uss) / 1e6


def cpu_seconds(processes: Sequence[psutil.Process]) -> float:
    """Processor time that these processes have taken, together."""
    return _together(processes, lambda process: sum(process.cpu_times()[:2]))  # of the user and of the system


def open_files(processes: Sequence[psutil.Process]) -> int:
    """File descriptors of these processes, together."""
    return int(_together(processes, lambda process: process.num_fds()))


def _together(processes: Sequence[psutil.Process], figure: Callable[[psutil.Process], float]) -> float:
    """The sum over those that are still there to be asked."""
    total = 0.0
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, OSError):
            total += figure(process)
    return total
