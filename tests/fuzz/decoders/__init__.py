"""All decoders by name."""

from __future__ import annotations

from tests.fuzz.decoders import adversarial, hashing, he, keyed, link, mpc, serving
from tests.fuzz.decoders.decoder import Decoders

DECODERS: Decoders = {
    name: decoder
    for module in (link, serving, mpc, he, hashing, keyed, adversarial)
    for name, decoder in module.DECODERS.items()
}
