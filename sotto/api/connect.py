"""Alice here, Bob and the dealer on machines of their own."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from sotto.api.costs import Costs, Step
from sotto.api.errors import SessionError
from sotto.api.session import Session
from sotto.bench.own_model import adapter
from sotto.link import Answer, BadValue, LinkError
from sotto.link.connection import address_of
from sotto.mpc import MpcError
from sotto.serving import client, registry
from sotto.serving.adapters import ClientCredentials
from sotto.serving.reveal import Reveal
from sotto.serving.service.sessions import Address
from sotto.serving.terms import read_terms


def connect(
    paradigm: str,
    bob: str,
    *,
    dealer: str | None = None,
    mode: str = "",
    reveal: Reveal = "class",
    keys: str | Path | None = None,
    terms: str | Path | None = None,
    own: str | Path | None = None,
    store: str | Path | None = None,
    bob_name: str | None = None,
    dealer_name: str | None = None,
    token: bytes = b"",
    timeout: float = 60.0,
) -> Session:
    """Open a session with a Bob that runs elsewhere, as ``sotto alice`` does.  Alice is the calling process.

    Parameters
    ----------
    paradigm
        as for :func:`sotto.local`.
    bob
        where Bob listens, ``"HOST:PORT"`` or ``"[IPv6]:PORT"``.
    dealer
        where the dealer listens; for ``mpc``, and for it alone.
    mode
        that Bob must run; his own by default, ``malicious`` for ``mpc``.
    reveal
        as for :func:`sotto.local`; Bob has to agree.
    keys
        folder of Alice's certificate and key; without one only this machine can be reached.
    terms
        the terms that Bob must serve: a ``terms.json``, or the folder it is in; that of ``own`` by default.
    own
        Alice's own folder, with her key or sensor where the paradigm has one.
    store
        folder in which what was provisioned and not used waits for a later session with the same Bob, who keeps his
        part; for ``mpc`` in mode ``two-party`` alone.  Leave it out of backups: what is prepared serves once.
    bob_name
        name that Bob's certificate must have; any of the authority's by default.
    dealer_name
        the same of the dealer's.
    token
        what a service of this machine asks for.
    timeout
        seconds that any single wait may take.

    Returns
    -------
    An open :class:`sotto.api.session.Session`.

    Raises
    ------
    SessionError
        somebody cannot be reached, refused, or serves other terms.
    ValueError
        an argument that cannot be used; the message says what to do.
    """
    folder = Path(own) if own is not None else None
    where = Path(terms) if terms is not None else folder
    wanted = read_terms(where) if where is not None else None
    if terms is not None and wanted is None:
        raise BadValue("no-terms", f"{terms}: holds no terms; get the folder from whoever prepared the model")
    config = client.ClientConfig(
        bob=address(bob, "bob"),
        paradigm=paradigm,
        mode=mode or (wanted.mode if wanted else "malicious" if paradigm == "mpc" else ""),
        reveal=reveal,
        dealer=address(dealer, "dealer") if dealer is not None else None,
        keys=Path(keys) if keys is not None else None,
        terms=wanted,
        bob_name=bob_name,
        dealer_name=dealer_name,
        seconds=timeout,
        opening_seconds=max(timeout, 45.0),
        token=token,
    )
    if store is not None and (paradigm, config.mode) != ("mpc", "two-party"):
        raise BadValue("no-store", "only mode 'two-party' of mpc keeps what was prepared: leave store out")
    needed = registry.paradigm(paradigm).needs_dealer(config.mode)
    if needed and dealer is None:
        raise BadValue("dealer-needed", f"{paradigm} needs a dealer: dealer='HOST:PORT'")
    if dealer is not None and not needed:
        raise BadValue("no-dealer", f"{paradigm} has no dealer")
    with contextlib.ExitStack() as stack:
        try:
            own_things = ClientCredentials(folder, reveal, Path(store) if store is not None else None)
            session = stack.enter_context(client.session(config, own_things))
            with _Step(session) as setup:
                session.set_up()
        except (LinkError, MpcError) as error:
            raise SessionError(*error.args) from error
        return _Connected(session, setup.step, stack.pop_all())


class _Connected(Session):
    def __init__(self, session: client.Session, setup: Step, stack: contextlib.ExitStack) -> None:
        terms = session.terms
        shape, bound = adapter(terms.paradigm).asked_shape(terms), terms.parameters.get("error bound")
        bound = bound if isinstance(bound, float) else None
        super().__init__(terms.paradigm, terms.mode, shape, terms.classes, bound, Costs(setup), stack)
        self._session = session

    def _ask(self, values: npt.NDArray[np.float32]) -> Answer:
        n = len(values)
        if not self._ready[n]:
            self._provision(n)
        with _Step(self._session) as online:
            answer = self._session.ask(values)
        self._book(n, online.step)
        return answer

    def _provision(self, n: int) -> None:
        with _Step(self._session) as offline:
            self._session.prepare(n)
        if any(offline.step.bytes.values()):
            self._ready[n].append(offline.step)


class _Step:
    """What one step took, as Alice sees it."""

    step: Step

    def __init__(self, session: client.Session) -> None:
        self._links = session.links

    def __enter__(self) -> Self:
        self._before = {role: link.traffic.snapshot() for role, link in self._links.items()}
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        ms = (time.perf_counter() - self._started) * 1e3
        used = {role: link.traffic.since(self._before[role]) for role, link in self._links.items()}
        sent = {"alice": sum(each.bytes_sent for each in used.values())}
        sent |= {role: each.bytes_received for role, each in used.items()}
        self.step = Step(ms, sent, {"alice": sum(each.rounds for each in used.values())})


def address(text: str, name: str) -> Address:
    """``HOST:PORT`` or ``[IPv6]:PORT``.  Raises ``ValueError``."""
    try:
        host, port = address_of(str(text))
    except ValueError as error:
        raise BadValue("bad-address", f"{name}: {error}") from None
    if not port:
        raise BadValue("bad-address", f"{name}: nobody listens at port 0")
    return host, port
