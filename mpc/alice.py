"""Alice: the owner of the speech.  She learns the answer; what she sends is uniformly masked."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy.typing as npt

from sotto.link import Answer, BadValue, Link, LinkError, decode, encode, transaction
from sotto.mpc.errors import InputRefused, reason
from sotto.mpc.graph.fixed_point import checked_features
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.messages import PLAN_LIMIT, VERSION, Agreement, Hello, Mode, Query, Reveal
from sotto.mpc.modes import Session, closed_by_errors, needs_dealer, open_session, require_options

if TYPE_CHECKING:
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore


class Alice:
    """Asks Bob's network about her features.  ``dealer`` is her link to the dealer, None in mode ``two-party``.

    ``reveal="class"``: she learns the class index of each example and nothing else; ``"logits"``: the logits too, where
    Bob allows it.  ``"values"``: what a network without classes gives, as scores; every label is -1 then, and
    :attr:`error_bound` says how far the values can be from the float network's.  ``agreed``: what Bob has to set up;
    None takes the plan that he sends.  ``store`` (:mod:`sotto.mpc.two_party.preprocessing_store`): in mode
    ``two-party``, a folder in which what she prepared and did not use waits for her next session with the same Bob,
    who needs one, too.
    """

    def __init__(
        self,
        dealer: Link | None,
        *,
        mode: Mode = "malicious",
        reveal: Reveal = "class",
        agreed: Agreement | None = None,
        store: PreprocessingStore | None = None,
    ) -> None:
        self._mode = require_options(mode, reveal, store)
        if dealer is None and needs_dealer(self._mode):
            raise BadValue("dealer-needed", f"mode '{mode}' needs a link to the dealer")
        self._store = store
        self._dealer = dealer
        self._reveal = reveal
        self._agreed = agreed
        self._session: Session | None = None
        self._plan: ModelPlan | None = None

    def __repr__(self) -> str:
        return f"<mpc.Alice mode={self._mode} reveal={self._reveal}>"

    @property
    def plan(self) -> ModelPlan | None:
        """The public shapes of Bob's network, once prepared."""
        return self._plan

    @property
    def error_bound(self) -> float | None:
        """With ``reveal="values"``, once prepared: what Bob proved of the largest error; None where he could not."""
        return getattr(self._session, "error_bound", None)

    def prepare(self, link: Link) -> None:
        """Set up with Bob and the dealer, once per ``link``; returns when Bob has confirmed.

        Raises :class:`sotto.link.LinkError`, :class:`sotto.mpc.PlanError` for a plan that does not hold,
        :class:`sotto.mpc.SessionBusy`.
        """
        if self._session and self._session.peer is link:
            return
        self.close()
        with transaction(link, reason=reason):
            link.send("mpc.hello", encode(Hello(VERSION, self._mode, self._reveal)))
            plan = decode(link.receive("mpc.plan", limit=PLAN_LIMIT), ModelPlan)
            plan.shapes()
            session = open_session(self._mode, 0, link, self._dealer, plan, None, self._reveal, self._store)
            with closed_by_errors(session):
                if self._agreed:
                    self._agreed.require(plan, session.ranges)
                    if self._reveal == "values":
                        self._agreed.require_error(getattr(session, "error_bound", None))
                link.receive("mpc.ready", limit=0)
        self._plan, self._session = plan, session

    def provision(self, link: Link, examples: int = 1, queries: int = 1) -> None:
        """Have ahead what ``queries`` queries of ``examples`` need, the dealer's or made with Bob: the offline phase.

        :meth:`ask` does it when it was not done.  Mode ``crypten`` has no offline phase: nothing happens.
        """
        self.prepare(link)
        session, plan = self._current()
        plan.require_batch(examples, InputRefused)
        session.require_query_size(examples, queries)
        with self._whole(link) as session:
            session.provision(examples, queries)

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """The answer for ``features``, float32 (n, *input_shape), n ≥ 1; values beyond the plan's limit are clipped.

        That, and a label that is no class, stands in the answer's warnings: whether she asks, and goes on, must not
        depend on it.  Raises :class:`sotto.mpc.InputRefused` for another shape before anything of the query is sent,
        :class:`sotto.link.LinkError` and :class:`sotto.mpc.CheatingDetected` (the session is over; prepare again on new
        links).
        """
        self.prepare(link)
        session, plan = self._current()
        values, warnings = checked_features(features, plan)
        session.require_query_size(len(values))
        with self._whole(link) as session:
            session.provision(len(values))
            link.send("mpc.query", encode(Query(len(values))))
            opened = session.ask(values)
        return session.read(opened).warned(*warnings)

    def close(self) -> None:
        """End the session; the links stay open.  Harmless when there is none."""
        if self._session:
            self._session.close()
        self._session = None

    def _current(self) -> tuple[Session, ModelPlan]:
        if self._session is None or self._plan is None:
            raise LinkError("session-over", "the session is over: open new links and prepare again")
        return self._session, self._plan

    @contextlib.contextmanager
    def _whole(self, link: Link) -> Iterator[Session]:
        """The session for one piece of work: spent first, alive again only when the work has come to its end.

        Whatever leaves the block early, an interrupt at any instruction too, leaves no session to ask again with keys
        that the other party may have seen, and ends the link to Bob.
        """
        session, _ = self._current()
        self._session = None
        with transaction(link, reason=reason), closed_by_errors(session):
            yield session
        self._session = session
