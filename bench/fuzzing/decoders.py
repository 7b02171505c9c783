"""All decoders by name."""

from __future__ import annotations

from sotto.bench.fuzzing import (
    adversarial_decoders,
    hashing_decoders,
    he_decoders,
    keyed_decoders,
    link_decoders,
    mpc_decoders,
    serving_decoders,
)
from sotto.bench.fuzzing.decoder import Decoders

DECODERS: Decoders = {
    **link_decoders.DECODERS,
    **serving_decoders.DECODERS,
    **mpc_decoders.DECODERS,
    **he_decoders.DECODERS,
    **hashing_decoders.DECODERS,
    **keyed_decoders.DECODERS,
    **adversarial_decoders.DECODERS,
}
