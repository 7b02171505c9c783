"""One party's session in mode ``crypten``: CrypTen set up over our links, the network shared, queries answered.

CrypTen keeps its communicator, its generators and its settings in module globals, so a process holds one
session at a time and a second one is refused.  What a session changes there it puts back when it closes.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sotto.link import Answer, Link, encode, transaction
from sotto.mpc.crypten.communicator import LinkCommunicator
from sotto.mpc.crypten.model import Network, secure_argmax
from sotto.mpc.crypten.torch_shim import load_crypten
from sotto.mpc.crypten.triples import TripleClient
from sotto.mpc.errors import ProtocolError, SessionBusy, reason
from sotto.mpc.graph.fixed_point import require_crypten_layers
from sotto.mpc.graph.plan import ModelPlan, Ranges, Weights
from sotto.mpc.messages import VERSION, Join, Reveal

crypten = load_crypten()

ALICE, BOB = 0, 1
_one_per_process = threading.Lock()


class CryptenSession:
    """Party ``rank``'s shares of Bob's network, ready for queries.  ``weights`` is Bob's alone; Alice passes None."""

    def __init__(
        self, rank: int, peer: Link, dealer: Link, plan: ModelPlan, weights: Weights | None, reveal: Reveal
    ) -> None:
        require_crypten_layers(plan)
        if not _one_per_process.acquire(blocking=False):
            raise SessionBusy(
                "session-busy",
                "CrypTen holds one session per process: close the other party first, or use a process each",
            )
        self.peer = peer
        self.ranges: Ranges = ()
        self._plan = plan
        self._reveal = reveal
        self._cleanup = contextlib.ExitStack()
        self._cleanup.callback(_one_per_process.release)
        # A party that is dropped without close() frees the process for the next one.
        self._close = weakref.finalize(self, self._cleanup.close)
        try:
            with transaction(dealer, reason=reason):
                dealer.send("dealer.join", encode(Join(VERSION, "crypten", 0 if rank == ALICE else 1)))
                self._install(rank, peer, dealer)
            self._network = Network(plan, weights)
            with crypten.no_grad():
                self._network.encrypt(src=BOB)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<CryptenSession over {self.peer!r}>"

    def _install(self, rank: int, peer: Link, dealer: Link) -> None:
        """Put our transport, our dealer and fresh seeds where CrypTen looks for its own."""
        restore = self._cleanup.callback
        provider = crypten.mpc.provider.ttp_provider
        restore(setattr, crypten.communicator, "DistributedCommunicator", crypten.communicator.DistributedCommunicator)
        restore(setattr, provider, "TTPClient", provider.TTPClient)
        restore(crypten.generators.update, dict(crypten.generators))
        restore(setattr, TripleClient, "instance", None)
        restore(LinkCommunicator.shutdown)
        crypten.communicator.DistributedCommunicator = LinkCommunicator
        provider.TTPClient = TripleClient
        LinkCommunicator.initialize(rank, peer)
        TripleClient.instance = TripleClient(rank, dealer)
        self._cleanup.enter_context(
            crypten.config.cfg.temp_override({"mpc.provider": "TTP", "functions.max_method": "pairwise"})
        )
        _seed_generators()

    def require_query_size(self, examples: int, queries: int = 1) -> None:
        """Nothing, as :meth:`provision`."""

    def provision(self, examples: int, queries: int = 1) -> None:
        """Nothing: stock CrypTen asks the dealer inside the query."""

    def accept_provision(self, examples: int) -> None:
        """Nothing, as above."""

    def ask(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Alice's side of a query: features float32 (n, *input_shape) to the opened classes (n,) or logits."""
        opened = self._evaluate(torch.from_numpy(np.array(features, np.float32)))
        if opened is None:
            raise ProtocolError("opened-to-other", "the answer was opened to the other party: only Alice may ask")
        return np.asarray(opened.numpy(), np.float32)

    def read(self, opened: npt.NDArray[np.float32]) -> Answer:
        """The answer that what was opened stands for."""
        if self._reveal == "logits":
            return Answer(opened.argmax(axis=1).astype(np.int64), opened)
        labels = opened.round().astype(np.int64)
        return Answer(labels).warned(*self._plan.no_class(labels))

    def answer(self, examples: int) -> None:
        """Bob's side of a query of ``examples`` examples; what he receives is masked."""
        self._evaluate(torch.zeros(examples, *self._plan.input_shape))

    def _evaluate(self, features: torch.Tensor) -> Any:
        with crypten.no_grad():
            logits = self._network(crypten.cryptensor(features, src=ALICE))
            result = logits if self._reveal == "logits" else secure_argmax(logits)
            return result.get_plain_text(dst=ALICE)

    def close(self) -> None:
        """Give CrypTen's globals back; harmless when closed already.  Links stay open."""
        self._close()


def _seed_generators() -> None:
    """CrypTen's four generators, seeded from the operating system; the stock exchange of the shared ones."""
    for name in crypten.generators:
        crypten.generators[name] = {torch.device("cpu"): torch.Generator(device="cpu")}
    following, local, common = (secrets.randbits(64) - 2**63 for _ in range(3))
    crypten._sync_seeds(torch.tensor(following), local, torch.tensor(common))
