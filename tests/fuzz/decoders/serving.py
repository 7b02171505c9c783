"""Decoders of :mod:`sotto.serving`: what a stranger reaches before any session, and the files that parties are
handed."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from pathlib import Path

import msgspec
import numpy as np
from hypothesis import strategies as st

from sotto.link import LinkError, encode
from sotto.models import Normalisation
from sotto.models.learning.recipes import DEPINTO
from sotto.serving.certificates import authority, key_files, requests
from sotto.serving.errors import AdapterError
from sotto.serving.folders import calibration_beside, write_calibration
from sotto.serving.handshake import HELLO, SESSION_BYTES, VERSION, Hello, Welcome, read_hello, read_welcome, require_fit
from sotto.serving.service.arrivals import Arrival
from sotto.serving.service.reports import Ended, read_reports
from sotto.serving.terms import FrontEnd, Terms, TermsError, read_front, read_terms, statistics_of, write_terms
from tests.fuzz.decoders.decoder import Decoder, Decoders, Target
from tests.fuzz.decoders.link import frame

# What a front end says of its features is any JSON: Hypothesis has no strategy for Any.
st.register_type_strategy(FrontEnd, st.builds(FrontEnd, st.dictionaries(st.text(), st.integers() | st.text())))


def _terms() -> Terms:
    statistics = statistics_of(Normalisation(np.zeros(40, np.float32), np.ones(40, np.float32), "standard", None))
    return Terms(
        paradigm="mpc", mode="malicious", model="depinto", input_shape=(40,), classes=("calm", "angry"),
        front=FrontEnd(DEPINTO.features.to_record(), statistics), parameters={"word bits": 64},
    )  # fmt: skip


def _hello() -> Hello:
    return Hello(role="alice", paradigm="mpc", mode="malicious", session=secrets.token_bytes(SESSION_BYTES))


def _handshake() -> Target:
    """Both messages, each as its receiver reads it; a welcome's front end is made too."""
    terms = _terms()

    def read(data: bytes) -> None:
        try:
            require_fit(read_hello(data), terms)
        except LinkError:
            welcome = read_welcome(data, "bob")
            if welcome.terms is not None and welcome.terms.front is not None:
                welcome.terms.front.spec()

    seeds = [encode(_hello()), encode(Welcome(VERSION, terms)), encode(Welcome(VERSION, None))]
    return Target(seeds, read, (LinkError, TermsError), (Hello, Welcome))


def _arrival() -> Target:
    """The first bytes of a connection, as the host reads them: with and without what it expects."""
    hello = frame(HELLO, encode(_hello()))
    seeds = [hello, hello + b"more", frame("mpc.hello", b""), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01"]

    def read(data: bytes) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = socket.create_connection(listener.getsockname())
            server, _ = listener.accept()
            client.sendall(data[:65536])
            client.close()
        arrival = Arrival(server, None, 5.0, False)
        try:
            while arrival.step() is not None:
                pass
        finally:
            arrival.close()

    return Target(seeds, read, (LinkError,))


def _files() -> Target:
    """Alice's terms and front end, and Bob's calibration features."""
    folder = Path(tempfile.mkdtemp(prefix="sotto-fuzz-"))
    terms = _terms()
    write_terms(folder, terms, terms.front)
    write_calibration(folder, np.zeros((3, 6), np.float32))
    files = sorted(folder.iterdir())
    seeds = [path.read_bytes() for path in files]

    def read(data: bytes) -> None:
        for path in files:
            path.write_bytes(data)
        refused: Exception | None = None
        for reading in (read_terms, read_front, lambda where: calibration_beside(where / "model")):
            try:
                reading(folder)
            except (TermsError, AdapterError) as error:
                refused = error
        if refused is not None:
            raise refused

    return Target(seeds, read, (TermsError, AdapterError))


def _reports() -> Target:
    """What a session's process, which talks to strangers, tells its host: whatever it is, the host goes on."""
    seeds = [msgspec.json.encode(Ended("done")) + b"\n" + msgspec.json.encode(Ended("why", 1, 2)) + b"\n"]

    def read(data: bytes) -> None:
        reading, writing = os.pipe()
        os.write(writing, data[:32768])
        os.close(writing)
        os.set_blocking(reading, False)
        try:
            read_reports(reading, bytearray())
        finally:
            os.close(reading)

    return Target(seeds, read, ())


def _requests() -> Target:
    """What a party sends an authority, and what the authority sends back."""
    folder = Path(tempfile.mkdtemp(prefix="sotto-fuzz-"))
    authority.found(folder / "keys")
    asked = requests.make(folder / "own", "clinic-7", "alice")
    issued = authority.sign(folder / "keys", asked, "alice")
    seeds = [asked.path.read_bytes(), issued.path.read_bytes()]

    def read(data: bytes) -> None:
        (folder / "request.pem").write_bytes(data)
        (folder / "certificate.pem").write_bytes(data)
        try:
            requests.read(folder / "request.pem")
        except key_files.AuthorityError:
            key_files.show(folder)

    return Target(seeds, read, (key_files.AuthorityError,))


DECODERS: Decoders = {
    "serving.handshake": Decoder("any client; the service", _handshake),
    "serving.arrival": Decoder("any stranger", _arrival),
    "serving.files": Decoder("whoever prepared the folder", _files),
    "serving.requests": Decoder("a party; the authority", _requests),
    "serving.reports": Decoder("a session's process", _reports),
}
