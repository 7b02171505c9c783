"""`hashing` as a service: Bob needs a classifier of hashes, Alice the key and the front end that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping

from sotto import hashing
from sotto.link import Link
from sotto.serving.doors import DoorError, Hosted, Offer, Own, require_mode
from sotto.serving.folders import KEY_FILE, model_file, own_file, own_front
from sotto.serving.terms import FrontEnd, Terms

MODES = ("smh",)


class _Hosted:
    needs_dealer = False

    def __init__(self, offer: Offer) -> None:
        mode = require_mode(MODES, offer.mode)
        classifier = hashing.HammingSVC.load(model_file(offer.model))
        hashes = classifier.support_hashes_
        if not isinstance(hashes, hashing.PackedHashes):
            raise DoorError(f"{offer.model}: holds no packed hashes: prepare it again")
        self._classifier, self._reveal = classifier, offer.reveal
        self.terms = Terms(
            paradigm="hashing",
            mode=mode,
            reveal=offer.reveal,
            model="hamming-svc",
            input_shape=(hashes.symbols,),
            classes=tuple(str(label) for label in classifier.classes_),
            parameters={"k": hashes.k, "key": classifier.fingerprint_},
        )

    def make(self, links: Mapping[str, Link]) -> hashing.Bob:
        return hashing.Bob(self._classifier, reveal=self._reveal)


def host(offer: Offer) -> Hosted:
    """Load the classifier."""
    return _Hosted(offer)


def front(own: Own, terms: Terms) -> FrontEnd:
    """Her own: the key was made for its features."""
    return own_front(own.folder)


def alice(own: Own, terms: Terms, links: Mapping[str, Link]) -> hashing.Alice:
    return hashing.Alice(own_file(own.folder, KEY_FILE, "the hash key"), reveal=own.reveal)


def needs_dealer(mode: str) -> bool:
    """There is none in any mode."""
    return False
