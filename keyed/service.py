"""`keyed` as a service: Bob needs the encrypted model, Alice the key and the front end, from the model's owner."""

from __future__ import annotations

from collections.abc import Mapping

from sotto import keyed
from sotto.link import Link
from sotto.serving.adapters import ClientCredentials, ModelSource, OneBob
from sotto.serving.folders import KEY_FILE, model_file, own_file, own_front
from sotto.serving.terms import FrontEnd, Terms, class_or_logits


def host(source: ModelSource) -> OneBob:
    """Load the encrypted model; a plain one is refused."""
    model, record = keyed.load_encrypted_model(model_file(source.model))
    terms = Terms(
        paradigm="keyed",
        mode=source.mode,
        reveal=source.reveal,
        model=record.architecture,
        input_shape=FrontEnd.of(record).spec().fixed_shape,
        classes=record.classes,
        parameters={"key": record.encrypted_for},
    )
    return OneBob(terms, keyed.Bob(model, fingerprint=record.encrypted_for, reveal=class_or_logits(source.reveal)))


def front(own: ClientCredentials, terms: Terms | None) -> FrontEnd:
    """Her own, from the model's owner: another one could show more of her speech."""
    return own_front(own.folder)


def alice(own: ClientCredentials, terms: Terms, links: Mapping[str, Link]) -> keyed.Alice:
    """Alice with the key from her own folder."""
    return keyed.Alice(own_file(own.folder, KEY_FILE, "the key"), reveal=class_or_logits(own.reveal))
