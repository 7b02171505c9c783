"""Bob: evaluates his network on ciphertexts he cannot read.

He holds the weights in the clear and Alice's public material.  He is not protected from what the answers say about
his model (:mod:`he.attacks.extraction`), nor, without noise flooding, from what the noise of a ciphertext may say.
"""

from __future__ import annotations

from typing import get_args

import numpy.typing as npt
from torch import nn

from he.contexts import public_context
from he.network import PolynomialNetwork
from he.planning import plan
from he.tenseal_evaluator import TensealEvaluator
from he.wire import (
    VERSION,
    Description,
    Hello,
    Mode,
    Ready,
    Reply,
    open_query,
    query_limit,
    receive_keys,
)
from link import FrameError, Link, LinkClosed, decode, encode


class Bob:
    """The model owner's side."""

    def __init__(
        self,
        module: nn.Module,
        *,
        calibration: npt.ArrayLike | None = None,
        mode: Mode = "tenseal",
        largest_ring: int = 16384,
        timeout: float = 120.0,
        threads: int | None = None,
    ) -> None:
        """
        Args:
            module: a trained :class:`models.mlp.MLP` with polynomial activations.
            calibration: features (n, inputs) in [-1, 1] like those to come, usually the training set; with them
                the precision of the logits is estimated, and models without a provable bound can be served.
            mode: how to evaluate; ``"tenseal"`` is the public ``ckks_vector`` interface.
            largest_ring: largest ring degree the parameters may use.
            timeout: seconds Alice may take to make her keys, and to send each piece of them.
            threads: threads of TenSEAL; None for all cores.

        Raises:
            ModelRefused: the model cannot be evaluated safely under encryption; the message says why.
        """
        if mode not in get_args(Mode):
            raise ValueError(f"mode is {mode!r}; use one of {', '.join(get_args(Mode))}")
        self.network = PolynomialNetwork.of(module)
        self.plan = plan(self.network, calibration, largest_ring=largest_ring)
        self.timeout = timeout
        self._mode: Mode = mode
        self._threads = threads
        self._session: tuple[Link, TensealEvaluator] | None = None

    def __repr__(self) -> str:
        return f"Bob({self.network!r}, mode={self._mode!r})"

    @property
    def description(self) -> Description:
        """What Bob publishes about his model."""
        parameters = self.plan.parameters
        return Description(
            version=VERSION,
            mode=self._mode,
            inputs=self.network.inputs,
            classes=self.network.classes,
            ring_degree=parameters.ring_degree,
            base=parameters.base,
            levels=parameters.levels,
            scale_bits=parameters.scale_bits,
            special_bits=parameters.special_bits,
            proved=self.plan.proved,
            logit_bound=self.plan.logit_bound,
        )

    def answer(self, link: Link) -> bool:
        """Set up a session if Alice asks for one, then answer one query.  False when she left before a query.

        Raises:
            FrameError: Alice sent something malformed; she is told.
            LinkError: she is gone in the middle of a query, or late.
        """
        try:
            return self._answer(link)
        except FrameError as error:
            link.fail(str(error))
            raise

    def serve(self, link: Link) -> None:
        """Answer queries until Alice leaves."""
        while self.answer(link):
            pass

    def _answer(self, link: Link) -> bool:
        limit = query_limit(self.plan.parameters)
        begun = False
        while True:
            try:
                name, payload = link.receive_any({"he.hello": 4096, "he.query": limit})
            except LinkClosed:
                if begun:
                    raise
                return False
            if name == "he.hello":
                if begun:
                    raise FrameError("Alice opened a session in the middle of a query")
                decode(payload, Hello)
                self._open(link)
            else:
                begun = True
                if self._evaluate(link, payload):
                    return True

    def _open(self, link: Link) -> None:
        self._session = None
        parameters = self.plan.parameters
        link.send("he.model", encode(self.description))
        material = receive_keys(link, parameters.key_bytes, self.timeout)
        context = public_context(material, parameters, self._threads)
        self._session = link, TensealEvaluator(self.network, parameters, context)
        link.send("he.ready", encode(Ready(VERSION)))

    def _evaluate(self, link: Link, payload: bytes | bytearray) -> bool:
        """Answer one message of a query; true when it was the query's last."""
        if self._session is None or self._session[0] is not link:
            raise FrameError("Alice asked before she sent her keys")
        query = open_query(payload, self.plan.parameters)
        for ciphertext in query.ciphertexts:
            link.send("he.answer", encode(Reply(VERSION, self._session[1].evaluate(ciphertext))))
        return query.last
