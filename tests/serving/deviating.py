"""Bobs who depart from what they published, and a probe that writes down all that Bob's side sees of a session.

A view is every message on Bob's links, by link, direction, name and size, in order, and how the session ended.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import numpy as np
import torch
from torch import nn

from sotto import he, mpc
from sotto.audio.features import MeanMFCC
from sotto.he.messages import Published
from sotto.link import decode, encode
from sotto.models.networks.mlp import MLP
from sotto.mpc import modes
from sotto.mpc.graph.plan import ModelPlan
from sotto.mpc.messages import RangesMessage, digest_of
from sotto.mpc.protocols.semi_honest import masked_session
from sotto.serving.service.sessions import reason_of
from sotto.serving.terms import FrontEnd, Terms

NAMES = ("neutral", "calm", "happy", "sad")
INPUTS = 6
FRONT = FrontEnd(MeanMFCC(INPUTS, trim_db=35.0).to_record())


def _honestly(name, payload):
    return payload


class Eavesdropper:
    """A probe (:class:`sotto.serving.service.sessions.Probe`) that appends one line of JSON for each session to a
    file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: list[list[object]] = []

    def begin(self, role):
        self._seen = []

    def watch(self, link):
        peer = link.peer

        def observer(direction, name, payload):
            self._seen.append([peer, direction, name, len(payload)])

        link.observer = observer
        return link

    def ready(self):
        pass

    def done(self):
        self._write("")

    def failed(self, error):
        self._write(f"{type(error).__name__}: {reason_of(error)}")

    def died(self, code):
        self._write(f"died {code}")

    def _write(self, end):
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"seen": self._seen, "end": end}) + "\n")


class Net(nn.Module):
    """The honest logits of ``classes``, and further ones: the same, lifted where feature 5 is positive."""

    def __init__(self, classes, inputs=INPUTS):
        super().__init__()
        self.hidden, self.out = nn.Linear(inputs, 6), nn.Linear(6, classes)
        with torch.no_grad():
            self.hidden.weight.zero_()
            self.hidden.weight[:, :INPUTS] = torch.eye(6)
            self.hidden.bias[:] = torch.tensor([8.0] * 5 + [0.0])
            self.out.weight.zero_()
            self.out.bias.zero_()
            for number in range(classes):
                self.out.weight[number, number % 4] = 1
                if number >= 4:
                    self.out.weight[number, 5] = 100

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))


class Altering:
    """A link of Bob's that alters what he sends by name; what it stands for does the rest."""

    def __init__(self, inner, alter):
        self._inner, self._alter = inner, alter

    def __getattr__(self, name):
        return getattr(self._inner, name)

    def __setattr__(self, name, value):
        if name.startswith("_"):
            object.__setattr__(self, name, value)
        else:
            setattr(self._inner, name, value)

    def send(self, name, payload, **how):
        self._inner.send(name, self._alter(name, bytes(payload)), **how)

    def exchange(self, name, payload, **how):
        return self._inner.exchange(name, self._alter(name, bytes(payload)), **how)


def _plan(**changes):
    def alter(name, payload):
        return encode(msgspec.structs.replace(decode(payload, ModelPlan), **changes)) if name == "mpc.plan" else payload

    return alter


def _narrow(name, payload):
    """Ranges far too small for the values, which then wrap for some inputs and not for others."""
    if name != "mpc.ranges":
        return payload
    first, *rest = decode(payload, RangesMessage).bits
    return encode(RangesMessage((first, *(2 for _ in rest))))


def _late(name, payload):
    if name in ("relu1.masked", "he.answer", "reply"):
        time.sleep(0.3)
    return payload


def _cut(name, payload):
    return payload[:-1] if name in ("relu1.masked", "output") else payload


#: what a deviating Bob of mpc does: his terms, his network, what he alters, and whether his terms admit to it
MPC = {
    "honest": {},
    "classes": {"classes": 8},
    "classes, no names": {"classes": 8, "named": ()},
    "classes that his digest admits": {"classes": 8, "admitted": True},
    "shape": {"inputs": 7},
    "limit": {"limit": 4.0},
    "plan's limit": {"alter": _plan(input_limit=2.0)},
    "ranges": {"alter": _narrow},
    "ranges that his digest admits": {"alter": _narrow, "admitted": True},
    "scaling": {"weights": 1000.0},
    "front end": {"front": FrontEnd({"kind": "x"})},
    "stall": {"alter": _late},
    "message cut short": {"alter": _cut},
    "early end": {"leaves": True},
}


def _network(classes=4, inputs=INPUTS, limit=128.0):
    return mpc.Bob(Net(classes, inputs).eval(), None, input_shape=(inputs,), input_limit=limit)


class MpcBob:
    """Bob of mpc, mode ``malicious``, who deviates as ``MPC[how]`` says."""

    needs_dealer = True

    def __init__(self, how: str) -> None:
        self._how = how = MPC[how]
        honest = _network()
        self._bob = _network(how.get("classes", 4), how.get("inputs", INPUTS), how.get("limit", 128.0))
        self._ranges = None
        told = self._bob.agreement if "named" in how or "admitted" in how else honest.agreement
        digest = told.digest
        if "admitted" in how and "alter" in how:
            ranges = decode(_narrow("mpc.ranges", encode(RangesMessage(honest.terms().ranges))), RangesMessage).bits
            digest = digest_of(honest.terms().plan, ranges)
        if "weights" in how:
            self._ranges = honest.terms().ranges  # he declares those of the network he promised
            for tensors in self._bob._weights.values():
                tensors.update({name: tensor * np.float32(how["weights"]) for name, tensor in tensors.items()})
        self.terms = Terms(
            paradigm="mpc", mode="malicious", input_shape=(INPUTS,), classes=how.get("named", NAMES),
            front=how.get("front", FRONT),
            parameters={"word bits": 64, "fraction bits": 16, "input limit": told.input_limit, "plan": digest},
        )  # fmt: skip

    def make(self, links):
        if "leaves" in self._how:
            links["dealer"].close()
        lies = self._bob.with_dealer(Altering(links["dealer"], self._how.get("alter", _honestly)))
        if self._ranges:
            masked_session.value_ranges = lambda plan, weights: self._ranges  # in this session's process
        return _Door(lies, self._how.get("alter", _honestly))


class _Door:
    def __init__(self, bob, alter):
        self._bob, self._alter, self._link = bob, alter, None

    def answer(self, link):
        self._link = self._link or Altering(link, self._alter)
        return self._bob.answer(self._link)


def _described(**changes):
    def alter(name, payload):
        if name != "he.model":
            return payload
        return encode(Published(msgspec.structs.replace(decode(payload, Published).model, **changes)))

    return alter


#: what a deviating Bob of he does; he is semi-honest there, but a lie must not make Alice tell
HE = {
    "honest": {},
    "classes": {"classes": 8},
    "bound": {"alter": _described(logit_bound=1e-3)},
    "stall": {"alter": _late},
    "message cut short": {"alter": lambda name, payload: payload[:-1] if name == "he.answer" else payload},
}


class HeBob:
    """Bob of he, mode ``packed``, who deviates as ``HE[how]`` says."""

    needs_dealer = False

    def __init__(self, how: str) -> None:
        torch.manual_seed(0)
        self._alter = HE[how].get("alter", _honestly)
        module = MLP(INPUTS, (5,), HE[how].get("classes", 4), "poly2").eval()
        calibration = np.random.default_rng(0).uniform(-1, 1, (50, INPUTS)).astype("float32")
        self._bob = he.Bob(module, calibration=calibration, threads=1)
        self.terms = Terms(
            paradigm="he", mode="packed", reveal="logits", input_shape=(INPUTS,), classes=NAMES, front=FRONT
        )

    def make(self, links):
        return _Door(self._bob, self._alter)


class Stage:
    """Hosts every deviating Bob at once: the one that a file names is on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._bobs = {f"mpc {how}": MpcBob(how) for how in MPC} | {f"he {how}": HeBob(how) for how in HE}
        modes.warm_up("malicious")

    @property
    def _on(self):
        return self._bobs[self._path.read_text(encoding="utf-8")]

    @property
    def terms(self):
        return self._on.terms

    @property
    def needs_dealer(self):
        return self._on.needs_dealer

    def make(self, links):
        return self._on.make(links)
