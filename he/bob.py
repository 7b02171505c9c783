"""Bob: evaluates his network on ciphertexts he cannot read.

He holds the weights in the clear and Alice's public material.  He is not protected from what the answers say about
his model (:mod:`sotto.he.attacks.extraction`), nor, unless he floods them, from what the noise of a ciphertext may say.
"""

from __future__ import annotations

from typing import Any, Protocol, cast, get_args

import numpy as np
import numpy.typing as npt
from torch import nn

from sotto.he.evaluation.batched_evaluator import BatchedModel
from sotto.he.evaluation.packed_evaluator import PackedModel
from sotto.he.evaluation.tenseal_evaluator import TensealModel
from sotto.he.messages import (
    MAX_ANSWERS,
    MAX_CLASSES,
    MAX_INPUTS,
    MAX_TENSOR_CLASSES,
    MAX_TENSOR_INPUTS,
    SMALL,
    VERSION,
    AnyDescription,
    Hello,
    Mode,
    Published,
    Query,
    Ready,
    Reply,
    open_query,
    query_limit,
    receive_keys,
)
from sotto.he.network.network import ModelRefused, PolynomialNetwork
from sotto.he.planning.flooding import MAX_STATISTICAL_BITS
from sotto.he.planning.memory import MEMORY_LIMIT
from sotto.he.planning.scheduling import ScaledPlan, schedule_for
from sotto.he.planning.vector_planning import Plan, plan
from sotto.he.tensors.exporting import export
from sotto.he.tensors.tensor_network import Shape, TensorNetwork
from sotto.he.tensors.tensor_scheduling import TensorPlan, schedule_tensors
from sotto.link import BadValue, FrameError, Link, LinkClosed, decode, encode, fault_of_peer, transaction
from sotto.models.networks.mlp import MLP

AnyNetwork = PolynomialNetwork | TensorNetwork
AnyPlan = Plan | ScaledPlan | TensorPlan


class Evaluator(Protocol):
    """One session's evaluation in any mode."""

    @property
    def pending(self) -> bool:
        """Whether a batch is incomplete."""

    def take(self, ciphertext: bytes) -> list[bytes]:
        """The answers that this ciphertext completes."""


class LoadedModel(Protocol):
    """A model made ready for one mode."""

    query_bytes: int
    key_bytes: int

    @property
    def plan(self) -> AnyPlan: ...

    @property
    def description(self) -> AnyDescription: ...

    def open(self, material: bytes) -> Evaluator: ...


def network_of(
    module: nn.Module | AnyNetwork, calibration: npt.ArrayLike | None = None, input_shape: Shape | None = None
) -> AnyNetwork:
    """The network of a module; the arguments as for :class:`Bob`.

    Raises
    ------
    ModelRefused
        it cannot be evaluated under encryption; the message says why.
    """
    if isinstance(module, PolynomialNetwork | TensorNetwork):
        return module
    if isinstance(module, MLP):
        if module.classes <= MAX_CLASSES:
            return PolynomialNetwork.of(module)
        input_shape = (module.inputs,)
    if input_shape is None and calibration is not None:
        input_shape = np.shape(calibration)[1:]
    if not input_shape:
        raise ModelRefused(
            "shape-needed",
            f"the shape of {type(module).__name__}'s examples is unknown: give input_shape= or calibration=",
        )
    return export(module, input_shape)


class Bob:
    """The model owner's side."""

    def __init__(
        self,
        module: nn.Module | AnyNetwork,
        *,
        calibration: npt.ArrayLike | None = None,
        mode: Mode = "packed",
        largest_ring: int = 16384,
        flooding_bits: int = 0,
        memory_limit: int = MEMORY_LIMIT,
        timeout: float | None = None,
        threads: int | None = None,
        input_shape: Shape | None = None,
    ) -> None:
        r"""Choose parameters for a network and encode its weights under them.

        Parameters
        ----------
        module
            a trained network with polynomial activations: a :class:`sotto.models.networks.mlp.MLP`, or in mode
            ``"packed"`` any module that :mod:`sotto.he.tensors.exporting` can export, with convolutions, means, batch
            norms, residual sums, or a network folded already.
        calibration
            features (n, inputs), or (n, \*shape), in [-1, 1] like those to come, usually the training
            set; with them the precision of the logits is estimated, and models without a provable bound can be
            served.
        mode
            how to evaluate; ``"packed"`` for single queries, ``"batched"`` for thousands at once, ``"tenseal"``
            for the public ``ckks_vector`` interface, a reference far slower than the others.
        largest_ring
            largest ring degree the parameters may use.
        flooding_bits
            flood answers with noise that hides their own to so many statistical bits
            (:mod:`sotto.he.planning.flooding`); 0 for none. Needs larger parameters, and not mode ``"tenseal"``.
        memory_limit
            bytes that the model and one session may take, as reckoned (:mod:`sotto.he.planning.memory`); mode
            ``"tenseal"`` does not reckon.
        timeout
            seconds Alice may take to make her keys, and to send each piece of them; None for what the link
            gives any message.
        threads
            threads of TenSEAL, None for all cores; the other modes use one.
        input_shape
            shape of one example for a module that is no MLP; the calibration features' unless given.

        Raises
        ------
        ModelRefused
            the model cannot be evaluated safely under encryption; the message says why.
        """
        if mode not in get_args(Mode):
            raise BadValue("unknown-mode", f"mode is {mode!r}; use one of {', '.join(get_args(Mode))}")
        if not 0 <= flooding_bits <= MAX_STATISTICAL_BITS or (flooding_bits and mode == "tenseal"):
            raise BadValue(
                "bad-flooding", f"flooding takes 0 to {MAX_STATISTICAL_BITS} bits, in mode packed or batched"
            )
        self.network = network_of(module, calibration, input_shape)
        most = (MAX_INPUTS, MAX_CLASSES)
        if isinstance(self.network, TensorNetwork):
            most = (MAX_TENSOR_INPUTS, MAX_TENSOR_CLASSES)
        if self.network.inputs > most[0] or self.network.classes > most[1]:
            raise ModelRefused(
                "too-large",
                f"it has {self.network.inputs} inputs and {self.network.classes} classes, Alice accepts at most"
                f" {most[0]} and {most[1]}",
            )
        self.timeout = timeout
        self._mode: Mode = mode
        self._flooded, self._threads, self._memory_limit = flooding_bits > 0, threads, memory_limit
        self._load(self._planned(calibration, largest_ring, flooding_bits))

    def _planned(self, calibration: npt.ArrayLike | None, largest_ring: int, flooding_bits: int) -> AnyPlan:
        """The parameters for the network."""
        if isinstance(self.network, TensorNetwork):
            if self._mode != "packed":
                raise ModelRefused(
                    "vectors-only",
                    f"mode {self._mode} evaluates layers over vectors only: use mode='packed' for this network",
                )
            return schedule_tensors(self.network, calibration, largest_ring=largest_ring, flooding_bits=flooding_bits)
        if self._mode == "tenseal":
            return plan(self.network, calibration, largest_ring=largest_ring)
        return schedule_for(
            self.network,
            calibration,
            packed=self._mode == "packed",
            largest_ring=largest_ring,
            flooding_bits=flooding_bits,
        )

    def _load(self, chosen: AnyPlan) -> None:
        """Make the network ready under its parameters."""
        self._model: LoadedModel
        inputs, classes, limit = self.network.inputs, self.network.classes, self._memory_limit
        if isinstance(chosen, Plan):
            self._model = TensealModel(cast("PolynomialNetwork", self.network), chosen, self._threads)
        elif isinstance(chosen, ScaledPlan) and self._mode == "batched":
            self._model = BatchedModel(chosen, inputs, classes, flooded=self._flooded, memory_limit=limit)
        else:
            self._model = PackedModel(chosen, inputs, classes, flooded=self._flooded, memory_limit=limit)
        self._session: tuple[Link, Evaluator] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without a session, and without SEAL's objects, which are made again: for a process of this one's own."""
        own = {name: value for name, value in self.__dict__.items() if name not in ("_model", "_session")}
        return {**own, "chosen": self.plan}

    def __setstate__(self, state: dict[str, Any]) -> None:
        chosen = state.pop("chosen")
        self.__dict__.update(state)
        self._load(chosen)

    def __repr__(self) -> str:
        return f"Bob({self.network!r}, mode={self._mode!r})"

    @property
    def plan(self) -> AnyPlan:
        """The parameters chosen for the model, and how far they are proved."""
        return self._model.plan

    @property
    def description(self) -> AnyDescription:
        """What Bob publishes about his model."""
        return self._model.description

    def open(self, material: bytes) -> Evaluator:
        """A session with Alice's public material, for callers that carry its messages themselves.

        Raises
        ------
        FrameError
            the keys are malformed or do not fit what Bob described.
        """
        return self._model.open(material)

    def answer(self, link: Link) -> bool:
        """Set up a session if Alice asks for one, then answer one query.  False when she left before a query.

        Raises
        ------
        FrameError
            Alice sent something malformed; she is told.
        LinkError
            she is gone in the middle of a query, or late.
        """
        try:
            return self._answer(link)
        except BaseException as error:
            self._session = None
            link.fail(fault_of_peer(error))
            raise

    def serve(self, link: Link) -> None:
        """Answer queries until Alice leaves."""
        while self.answer(link):
            pass

    def _answer(self, link: Link) -> bool:
        limit = query_limit(self._model.query_bytes)
        opened, begun, answers = False, False, 0
        while True:
            try:
                name, payload = link.receive_any({"he.hello": SMALL, "he.query": limit})
            except LinkClosed:
                if begun:
                    raise
                return False
            with transaction(link, reason=fault_of_peer):
                if name == "he.hello":
                    if begun or opened:
                        raise FrameError("session-in-query", "Alice opened a session twice, or inside a query")
                    decode(payload, Hello)
                    self._open(link)
                    opened = True
                    continue
                begun = True
                query, evaluator = self._received(link, payload)
                for answer in (each for ciphertext in query.ciphertexts for each in evaluator.take(ciphertext)):
                    answers += 1
                    if answers > MAX_ANSWERS:
                        raise FrameError("query-too-long", f"Alice asked for more than {MAX_ANSWERS} answers at once")
                    link.send("he.answer", encode(Reply(VERSION, answer)))
                if query.last and evaluator.pending:
                    raise FrameError("query-in-batch", "Alice ended a query in the middle of a batch")
                if query.last:
                    return True

    def _open(self, link: Link) -> None:
        self._session = None
        link.send("he.model", encode(Published(self.description)))
        material = receive_keys(link, self._model.key_bytes, self.timeout)
        self._session = link, self.open(material)
        link.send("he.ready", encode(Ready(VERSION)))

    def _received(self, link: Link, payload: bytes | bytearray) -> tuple[Query, Evaluator]:
        """One message of a query, and who answers it."""
        if self._session is None or self._session[0] is not link:
            raise FrameError("no-keys", "Alice asked before it sent its keys")
        return open_query(payload, self._model.query_bytes), self._session[1]
