"""Alice: the owner of the speech.  She learns the answer; what she sends is uniformly masked."""

from __future__ import annotations

from typing import get_args

import numpy.typing as npt

from sotto.link import Answer, Link, LinkError, decode, encode
from sotto.mpc.errors import InputRefused, PlanError, ProtocolError, reason
from sotto.mpc.graph.fixed_point import checked_features
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.messages import PLAN_BYTES, VERSION, Hello, Mode, Query, Reveal
from sotto.mpc.modes import Session, open_session, require_mode


class Alice:
    """Asks Bob's network about her features.  ``dealer`` is her link to the dealer.

    ``reveal="class"``: she learns the class index of each example and nothing else; ``"logits"``: the logits too, where
    Bob allows it.  ``"values"``: what a network without classes gives, as scores; every label is -1 then, and
    :attr:`error_bound` says how far the values can be from the float network's.
    """

    def __init__(self, dealer: Link, *, mode: Mode = "malicious", reveal: Reveal = "class") -> None:
        if reveal not in get_args(Reveal):
            raise ValueError(f"reveal is one of {', '.join(get_args(Reveal))}, not '{reveal}'")
        self._mode = require_mode(mode)
        if self._mode == "crypten" and reveal == "values":
            raise ValueError("mode 'crypten' reveals the class or logits")
        self._dealer = dealer
        self._reveal = reveal
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
        try:
            link.send("mpc.hello", encode(Hello(VERSION, self._mode, self._reveal)))
            plan = decode(link.receive("mpc.plan", limit=PLAN_BYTES), ModelPlan)
            plan.shapes()
            self._session = open_session(self._mode, 0, link, self._dealer, plan, None, self._reveal)
            self._plan = plan
            link.receive("mpc.ready", limit=0)
        except Exception as error:
            self._give_up(link, error)
            raise

    def provision(self, link: Link, examples: int = 1) -> None:
        """Fetch ahead what a query of ``examples`` needs from the dealer: the offline phase.

        :meth:`ask` does it when it was not done.  Mode ``crypten`` has no offline phase: nothing happens.
        """
        self.prepare(link)
        session, plan = self._current()
        try:
            plan.require_batch(examples)
        except PlanError as error:
            raise InputRefused(str(error)) from None
        try:
            session.provision(examples)
        except InputRefused:
            raise  # nothing was sent
        except Exception as error:
            self._give_up(link, error)
            raise

    def ask(self, features: npt.ArrayLike, link: Link) -> Answer:
        """The answer for ``features``, float32 (n, *input_shape), n ≥ 1, within the plan's input limit.

        Raises :class:`sotto.mpc.InputRefused` before anything is sent, :class:`sotto.mpc.ProtocolError` when the
        outcome is no class (the session goes on), :class:`sotto.link.LinkError` (the session is over; prepare again on
        new links).
        """
        self.prepare(link)
        session, plan = self._current()
        values = checked_features(features, plan)
        try:
            session.provision(len(values))
            link.send("mpc.query", encode(Query(len(values))))
            return session.ask(values)
        except (InputRefused, ProtocolError):
            raise  # nothing was sent; or Bob is not told, whom it would teach whether his lie was noticed
        except Exception as error:
            self._give_up(link, error)
            raise

    def close(self) -> None:
        """End the session; the links stay open.  Harmless when there is none."""
        if self._session:
            self._session.close()
        self._session = None

    def _current(self) -> tuple[Session, ModelPlan]:
        if self._session is None or self._plan is None:
            raise LinkError("the session is over: open new links and prepare again")
        return self._session, self._plan

    def _give_up(self, link: Link, error: Exception) -> None:
        self.close()
        link.fail(reason(error))
