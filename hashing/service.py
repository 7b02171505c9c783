"""`hashing` as a service: Bob needs a classifier of hashes, Alice the key and the front end that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping

from sotto import hashing
from sotto.link import Link
from sotto.serving.adapters import ClientCredentials, ModelSource, OneBob
from sotto.serving.errors import AdapterError
from sotto.serving.folders import KEY_FILE, model_file, own_file, own_front
from sotto.serving.terms import FrontEnd, Terms, class_or_logits


def host(source: ModelSource) -> OneBob:
    """Load the classifier."""
    classifier = hashing.HammingSVC.load(model_file(source.model))
    hashes = classifier.support_hashes_
    if not isinstance(hashes, hashing.PackedHashes):
        raise AdapterError("no-hashes", f"{source.model}: holds no packed hashes: prepare it again")
    terms = Terms(
        paradigm="hashing",
        mode=source.mode,
        reveal=source.reveal,
        model="hamming-svc",
        input_shape=(hashes.symbols,),
        classes=tuple(str(label) for label in classifier.classes_),
        parameters={"k": hashes.k, "key": classifier.fingerprint_},
    )
    return OneBob(terms, hashing.Bob(classifier, reveal=class_or_logits(source.reveal)))


def front(own: ClientCredentials, terms: Terms | None) -> FrontEnd:
    """Her own: the key was made for its features."""
    return own_front(own.folder)


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> hashing.Alice:
    """Alice with the hash key from her own folder."""
    return hashing.Alice(own_file(own.folder, KEY_FILE, "the hash key"), reveal=class_or_logits(own.reveal))
