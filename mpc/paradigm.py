"""What every command knows of ``mpc``."""

from __future__ import annotations

from sotto.serving.registry import Paradigm

PARADIGM = Paradigm(
    name="mpc",
    modes=("malicious", "semi-honest", "two-party", "crypten"),
    service="sotto.mpc.service",
    experiment="sotto.mpc.experiment",
    models=("frames", "depinto", "mlp", "mlp-poly2", "depinto-poly2", "filterbank-poly2"),
    reveals=("class", "logits", "values"),
    lowers=True,
    on_links="malicious and semi-honest run one protocol on every link: two flights a layer are the least",
    no_samples="",
    dealt=("malicious", "semi-honest", "crypten"),
    preload=(
        "sotto.mpc.protocols.semi_honest.session",
        "sotto.mpc.protocols.malicious.session",
        "sotto.mpc.two_party.session",
    ),
    networks=(
        *(
            f"{base}{activation}"
            for base in ("frames", "depinto", "mlp")
            for activation in ("", "-poly2", "-poly4", "-poly6")
        ),
        "filterbank-poly2",
    ),
    no_others="it is asked about networks that another paradigm runs too, and about those it was published with",
    missing_values={
        ("crypten", "offline_ms"): "the dealer is asked inside the query; the set-up once a session: session_ms",
        ("crypten", "key_bytes"): "correlated randomness is dealt inside the query: see bytes.dealer",
        ("two-party", "bytes.dealer"): "there is no dealer in this mode",
        ("two-party", "key_bytes"): "both make the correlated randomness: see offline_bytes_alice and …_bob",
        ("", "security.statistical_bits"): "the masks are pseudo-random: see the computational bits",
    },
)
