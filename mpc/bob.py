"""Bob: the owner of the weights.  Of Alice's features and of the answer he receives masked words alone."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Literal, Self

from torch import nn

from sotto.link import BadValue, FrameError, Link, LinkClosed, decode, encode, transaction
from sotto.mpc.errors import ModelRefused, PlanError, reason
from sotto.mpc.graph.fixed_point import DEFAULT_INPUT_LIMIT, require_crypten_layers
from sotto.mpc.graph.layers import Shape
from sotto.mpc.lowering.capture import DEFAULT_ACTIVATION_ERROR, Output
from sotto.mpc.lowering.lowered import LoweredModel
from sotto.mpc.messages import (
    HELLO_LIMIT,
    QUERY_LIMIT,
    Agreement,
    Hello,
    Mode,
    Query,
    RangesMessage,
    Reveal,
    Terms,
    digest_of,
    require_same,
)
from sotto.mpc.modes import Session, closed_by_errors, needs_dealer, open_session, program_of, require_options

if TYPE_CHECKING:
    from sotto.mpc.two_party.preprocessing_store import PreprocessingStore


class Bob:
    """Answers Alice with his network.  ``dealer`` is his link to the dealer, None until :meth:`with_dealer`, and always
    in mode ``two-party``.

    ``module`` is read in evaluation mode and refused here, by the names of all its parts that cannot be evaluated
    privately, before any data is touched; or it is a :class:`sotto.mpc.LoweredModel`, read before, for which shape,
    limit, error and output are settled.  ``output``: which of several results is meant, by key or index, or a tuple
    of several, one after the other.  ``activation_error`` is the largest error of each function that is approximated
    (tanh, sigmoid, GELU, exp, …); what was reached stands in the plan's curves.  ``input_shape`` is the shape of one
    example.  ``input_limit`` is public: the largest absolute feature Alice may use; the fixed point is proven not to
    overflow within it.  ``reveal`` is the most that Alice may learn: with ``"logits"`` or ``"values"`` she may ask for
    any kind of answer.  ``weights="public"``: Alice is told the weights, and products with them cost neither a message
    nor the dealer anything.  ``store`` as in :class:`sotto.mpc.Alice`.
    """

    def __init__(
        self,
        module: nn.Module | LoweredModel,
        dealer: Link | None,
        *,
        input_shape: Shape | None = None,
        mode: Mode = "malicious",
        reveal: Reveal = "class",
        input_limit: float = DEFAULT_INPUT_LIMIT,
        activation_error: float = DEFAULT_ACTIVATION_ERROR,
        output: Output = None,
        weights: Literal["secret", "public"] = "secret",
        idle_timeout: float = 600.0,
        store: PreprocessingStore | None = None,
    ) -> None:
        self._mode = require_options(mode, reveal, store)
        if isinstance(module, LoweredModel):
            self._lowered = module
        elif input_shape is None:
            raise BadValue("no-input-shape", "say with input_shape= what one example of the module is")
        else:
            self._lowered = LoweredModel.of(
                module, input_shape, input_limit=input_limit, activation_error=activation_error, output=output
            )
        if self._lowered.plan.public or weights == "public":
            if self._mode == "crypten":
                raise BadValue(
                    "secret-weights", "mode 'crypten' keeps weights secret: leave weights='public' to the other modes"
                )
            self._lowered = self._lowered.with_public_weights()
        self._plan, self._weights = self._lowered.plan, self._lowered.weights
        if self._mode == "crypten":
            require_crypten_layers(self._plan)
        else:
            _require_words(self._mode, self.terms("class"))
            _require_words(self._mode, self.terms("logits"))
        self._store = store
        self._dealer = dealer
        self._reveal = reveal
        self._idle = idle_timeout
        self._session: Session | None = None

    def __repr__(self) -> str:
        return f"<mpc.Bob mode={self._mode} reveal={self._reveal}, {len(self._plan.layers)} layers>"

    def with_dealer(self, dealer: Link | None) -> Self:
        """The same network for sessions over another link to the dealer: nothing is traced or checked again."""
        other = copy.copy(self)
        other._dealer, other._session = dealer, None
        return other

    def terms(self, reveal: Reveal = "class") -> Terms:
        """What the dealer must know to make bundles ahead of time (:meth:`sotto.mpc.Stock.fill`): public, no weight in
        it."""
        return Terms(self._plan, self._lowered.ranges, reveal)

    @property
    def agreement(self) -> Agreement:
        """What Alice is to be told ahead of a session, so that she can hold him to it: public, no weight in it."""
        ranges = () if self._mode == "crypten" else self.terms().ranges
        plan = self._plan
        bits = self._lowered.error_bits if self._reveal == "values" else None
        bound = None if bits is None else 2.0**bits
        return Agreement(plan.input_shape, plan.input_limit, plan.classes, digest_of(plan, ranges), bound)

    def answer(self, link: Link) -> bool:
        """Handle Alice's set-up messages and one query; False when she closed before a query.

        Raises :class:`sotto.link.LinkError`, :class:`sotto.mpc.SessionBusy`.  Alice is told why first.
        """
        limits = {"mpc.hello": HELLO_LIMIT, "mpc.query": QUERY_LIMIT, "mpc.provision": QUERY_LIMIT}
        try:
            while True:
                try:
                    name, payload = link.receive_any(limits, timeout=self._idle)
                except LinkClosed:
                    self.close()
                    return False
                with transaction(link, reason=reason):
                    self._react(name, payload, link)
                if name == "mpc.query":
                    return True
        except BaseException as error:
            self.close()
            link.fail(reason(error))
            raise

    def serve(self, link: Link) -> None:
        """Answer until Alice closes the link."""
        while self.answer(link):
            pass

    def close(self) -> None:
        """End the session; the links stay open.  Harmless when there is none."""
        if self._session:
            self._session.close()
        self._session = None

    def _prepare(self, hello: Hello, link: Link) -> None:
        require_same(hello.version, hello.mode, self._mode, "alice")
        if hello.reveal != "class" and self._reveal == "class":
            raise FrameError(
                "reveal-classes-only",
                "this Bob reveals the class only: ask with reveal='class', or start it with 'logits'",
            )
        if self._dealer is None and needs_dealer(self._mode):
            raise BadValue("dealer-needed", "this Bob has no link to the dealer: use with_dealer")
        self.close()
        link.send("mpc.plan", encode(self._plan))
        session = open_session(
            self._mode, 1, link, self._dealer, self._plan, self._weights, hello.reveal, self._store,
            self._told(hello.reveal),
        )  # fmt: skip
        with closed_by_errors(session):
            link.send("mpc.ready", b"")
        self._session = session

    def _told(self, reveal: Reveal) -> RangesMessage | None:
        """What Alice is told of the values' ranges and, where she sees values, of their error."""
        if self._mode == "crypten":
            return None
        bits = self._lowered.error_bits if reveal == "values" else None
        return RangesMessage(self._lowered.ranges, bits)

    def _react(self, name: str, payload: bytearray, link: Link) -> None:
        """Set up, prepare or answer; the session is spent first and alive again only when that has come to its end."""
        if name == "mpc.hello":
            return self._prepare(decode(payload, Hello), link)
        session, examples = self._announced(payload, link)
        self._session = None
        with closed_by_errors(session):
            if name == "mpc.query":
                session.answer(examples)
            else:
                session.accept_provision(examples)
        self._session = session

    def _announced(self, payload: bytearray, link: Link) -> tuple[Session, int]:
        """The session, and for how many examples Alice speaks."""
        query = decode(payload, Query)
        if self._session is None or self._session.peer is not link:
            raise FrameError("not-prepared", "a query came before the set-up: prepare first")
        try:
            self._plan.require_batch(query.examples)
        except PlanError as error:
            raise FrameError("bad-count", str(error)) from None
        return self._session, query.examples


def _require_words(mode: Mode, terms: Terms) -> None:
    """Raise :class:`ModelRefused` unless every value of the network fits into a word."""
    try:
        program_of(mode, terms)
    except PlanError as error:
        raise ModelRefused(*error.args) from None
