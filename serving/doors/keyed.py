"""`keyed` as a service: Bob needs the encrypted model, Alice the key and the front end, from the model's owner."""

from __future__ import annotations

from collections.abc import Mapping

from sotto import keyed
from sotto.link import Link
from sotto.serving.doors import Hosted, Offer, Own, require_mode
from sotto.serving.folders import KEY_FILE, model_file, own_file, own_front
from sotto.serving.terms import FrontEnd, Terms

MODES = ("encrypted",)


class _Hosted:
    needs_dealer = False

    def __init__(self, offer: Offer) -> None:
        mode = require_mode(MODES, offer.mode)
        model, record = keyed.load_encrypted_model(model_file(offer.model))
        self._bob = keyed.Bob(model, fingerprint=record.encrypted_for, reveal=offer.reveal)
        self.terms = Terms(
            paradigm="keyed",
            mode=mode,
            reveal=offer.reveal,
            model=record.architecture,
            input_shape=tuple(int(length or 0) for length in FrontEnd.of(record).spec().shape),
            classes=record.classes,
            parameters={"key": record.encrypted_for},
        )

    def make(self, links: Mapping[str, Link]) -> keyed.Bob:
        return self._bob


def host(offer: Offer) -> Hosted:
    """Load the encrypted model; a plain one is refused."""
    return _Hosted(offer)


def front(own: Own, terms: Terms) -> FrontEnd:
    """Her own, from the model's owner: another one could show more of her speech."""
    return own_front(own.folder)


def alice(own: Own, terms: Terms, links: Mapping[str, Link]) -> keyed.Alice:
    return keyed.Alice(own_file(own.folder, KEY_FILE, "the key"), reveal=own.reveal)


def needs_dealer(mode: str) -> bool:
    """There is none in any mode."""
    return False
