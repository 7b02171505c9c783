"""Alice, Bob and a dealer of mode ``semi-honest``, or Alice and Bob of mode ``two-party``, in one process.

What their answers are held against is here, too.

:class:`Trio` drives the public doors; :func:`execute` runs any program, a hand-made one too, between both parties'
evaluations; :func:`in_clear` is the fixed-point model that a private run must equal up to one unit at each gate.
"""

import secrets
import threading
from functools import partial

import numpy as np
import torch

from sotto import mpc
from sotto.link import pair
from sotto.mpc.fss import spline
from sotto.mpc.graph import layers, linear_steps
from sotto.mpc.graph.compiler import compile_program
from sotto.mpc.graph.fixed_point import FRACTION_BITS
from sotto.mpc.graph.plain import layer_output
from sotto.mpc.graph.program import Compare, Product, SecretProduct, SecretTensor, Spline, Truncate, Winner
from sotto.mpc.graph.ranges import value_ranges
from sotto.mpc.lowering.capture import trace
from sotto.mpc.modes import needs_dealer
from sotto.mpc.protocols import secret_product, winner
from sotto.mpc.protocols.semi_honest.evaluation import AliceEvaluation, BobEvaluation, weight_words
from sotto.mpc.protocols.semi_honest.preprocessing import bundle_bytes, make_bundle, read_bundle, weight_masks
from sotto.mpc.sharing import ring

ULP = 2.0**-FRACTION_BITS
MODE = "semi-honest"


class Trio:
    """Bob and the dealer in threads, Alice for the test to use.  The links by the name of their owner and his peer."""

    def __init__(
        self, module, shape, *, limit=8.0, reveal="class", timeout=20.0, bob_reveals="logits", mode=MODE, **of_bob
    ):
        self.links = {}
        for one, other in (("alice", "dealer"), ("bob", "dealer"), ("alice", "bob")):
            left, right = pair(timeout=timeout)
            left.peer, right.peer = f"the {other}" if other == "dealer" else other, one
            self.links[one, other], self.links[other, one] = left, right
        self.endings = {}
        self.bob = bob = mpc.Bob(
            module,
            self._to_dealer("bob", mode),
            input_shape=shape,
            mode=mode,
            input_limit=limit,
            reveal=bob_reveals,
            **of_bob,
        )
        self._threads = [self._start("bob", lambda: bob.serve(self.links["bob", "alice"]))]
        if needs_dealer(mode):
            dealer = mpc.Dealer(mode=mode)
            serve = partial(dealer.serve, self.links["dealer", "alice"], self.links["dealer", "bob"])
            self._threads.append(self._start("dealer", serve))
        self.link = self.links["alice", "bob"]
        self.alice = mpc.Alice(self._to_dealer("alice", mode), mode=mode, reveal=reveal)

    def _to_dealer(self, party, mode):
        return self.links[party, "dealer"] if needs_dealer(mode) else None

    def _start(self, who, work):
        def run():
            try:
                work()
                self.endings[who] = None
            except BaseException as error:
                self.endings[who] = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        return thread

    def ask(self, features):
        return self.alice.ask(features, self.link)

    def close(self):
        """Alice leaves; how the others ended, by name, None for well."""
        self.alice.close()
        self.link.close()
        self.links["alice", "dealer"].close()
        for thread in self._threads:
            thread.join(20)
        for link in self.links.values():
            link.close()
        return self.endings

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def observed(link):
    """The list that fills with (direction, name, payload) of every message of ``link`` from now on."""
    seen = []
    link.observer = lambda direction, name, payload: seen.append((direction, name, bytes(payload)))
    return seen


def compiled(module, shape, *, limit=8.0, reveal="class"):
    """Program and weights of a module, as the parties make them."""
    plan, weights = trace(module.eval(), shape, input_limit=limit)
    return compile_program(plan, value_ranges(plan, weights), reveal), weights


def execute(program, words, weights=None, link=None):
    """The opened output register (n, *shape) for input words (n, *input_shape); ``link`` is told Alice's link first."""
    masks = weight_masks(program, secrets.token_bytes(32))
    multipliers, biases = weight_words(program, weights or {})
    sent = make_bundle(program, len(words), 0, masks)
    bundles = [read_bundle(program, len(words), party, data) for party, data in enumerate(sent)]
    assert [len(data) for data in sent] == [bundle_bytes(program, len(words), party) for party in (0, 1)]
    for_alice, for_bob = pair(timeout=120)
    if link:
        link(for_alice)

    def bob():
        with for_bob:  # when he fails, Alice need not wait
            BobEvaluation(program, bundles[1], for_bob, multipliers, biases).run()
            for_bob.receive("done", limit=0)

    thread = threading.Thread(target=bob, daemon=True)
    thread.start()
    with for_alice:
        opened = {register: multipliers[register] + mask for register, mask in masks.items()}
        result = AliceEvaluation(program, bundles[0], for_alice, opened).run(words)
        for_alice.send("done", b"")
        thread.join(20)
    return result


def in_clear(program, words, weights):
    """Every register (n, *shape) of a program computed without shares, gates rounding down."""
    multipliers, biases = weight_words(program, weights)
    registers = {0: words}
    for step in program.steps:
        sources = [registers[source] for source in step.sources]
        if isinstance(step, SecretTensor):
            registers[step.out] = np.broadcast_to(biases[step.out], (len(words), *step.shape))
        elif isinstance(step, SecretProduct):
            registers[step.out] = secret_product.product(step.layer, *sources)
        elif isinstance(step, Spline):
            registers[step.out] = spline.value(step, sources[0].view(np.int64))
        elif isinstance(step, Product):
            out = ring.product(step.layer, multipliers[step.out], sources[0])
            bias = biases[step.out]
            registers[step.out] = out if bias is None else out + bias
        elif isinstance(step, Winner):
            registers[step.out] = winner.index(step.classes, sources[0].view(np.int64) >= 0)
        elif isinstance(step, Compare):
            cut = sources[0].view(np.int64) >> step.cut
            registers[step.out] = np.maximum(cut, 0).view(np.uint64)
        elif isinstance(step, Truncate):
            registers[step.out] = (sources[0].view(np.int64) >> step.cut).view(np.uint64)
        else:
            out, constant = linear_steps.apply(step, sources), linear_steps.constant(step)
            registers[step.out] = out if constant is None else out + constant
    return registers


def real_logits(plan, weights, features):
    """Float64 logits (n, classes), and how far fixed point with gates off by one unit may be from them."""
    values = [torch.tensor(features).double()]
    errors = [torch.full_like(values[0], ULP / 2)]
    for number, layer in enumerate(plan.layers):
        own = {name: torch.tensor(tensor).double() for name, tensor in weights.get(number, {}).items()}
        inputs = [values[source] for source in layer.sources]
        off = [errors[source] for source in layer.sources]
        values.append(layer_output(layer, own, inputs))
        if isinstance(layer, layers.Convolution | layers.Linear | layers.ChannelAffine):
            multiplier = "scale" if "scale" in own else "weight"
            still = {name: torch.zeros_like(tensor) for name, tensor in own.items() if name != multiplier}
            size = own[multiplier].abs()
            passed = layer_output(layer, {multiplier: size + ULP, **still}, [off[0] + ULP])
            rounding = layer_output(layer, {multiplier: torch.full_like(size, ULP), **still}, [inputs[0].abs()])
            errors.append(passed + rounding + ULP)
        else:
            errors.append(layer_output(layer, own, off) + 2 * ULP)
    return values[-1].numpy(), errors[-1].numpy()
