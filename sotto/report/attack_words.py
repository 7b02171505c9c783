"""What attackers reached, in words: one sentence for each attack metric that is known, the plain figure for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.row import Row

_PREFIX = "attack_"


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


#: By metric, the worst for the user first.  The second half of a pair is set beside the first: a baseline or a count.
_WORDS: Mapping[str, tuple[Callable[[float], str], str | None]] = {
    "attack_features_read": (
        lambda v: "Bob reads Alice's features by trying seeds" if v else "Bob's search of seeds found nothing", None,
    ),
    "attack_minutes_for_all_seeds": (lambda v: f"all seeds are tried in {v:.1f} minutes", None),
    "attack_wrong_class_accepted": (
        lambda v: f"a cheating Bob's wrong class is accepted in {_share(v)} of altered queries", None,
    ),
    "attack_recovered_correlation": (
        lambda v: f"speech recovered from encrypted queries alone, correlation {v:.2f}", None,
    ),
    "attack_known_blocks_for_key": (lambda v: f"the key from {v:.0f} known block{'s' * (v != 1)}", None),
    "attack_chosen_blocks": (
        lambda v: f"the key from {v:.0f} block{'s' * (v != 1)} that the attacker had encrypted", None,
    ),
    "attack_inverter_correlation": (
        lambda v: f"speech recovered by a network that never saw the key, correlation {v:.2f}", None,
    ),
    "attack_inverter_key_exact": (
        lambda v: f"that network {'found the exact key' if v else 'did not find the exact key'}", None,
    ),
    "attack_key_from_raw_decryption": (
        lambda v: "Alice's secret key from raw decryptions" if v == 1 else f"key found in {_share(v)} of tries", None,
    ),
    "attack_copy_agrees_from_10000_logits": (
        lambda v: f"a copy of Bob's model from 10,000 answers agrees on {_share(v)}", "attack_copy_agrees_chance",
    ),
    "attack_known_pairs_recovered": (lambda v: f"known pairs open {_share(v)} of clips", None),
    "attack_known_key_recovered": (lambda v: f"a stolen key opens {_share(v)} of clips", None),
    "attack_speech_auc": (lambda v: f"Bob tells whether somebody spoke, AUC {v:.2f} (a guess has 0.5)", None),
    "attack_gender_auc": (lambda v: f"Bob tells a woman from a man, AUC {v:.2f} (a guess has 0.5)", None),
    "attack_emotion_named": (lambda v: f"emotion named from {_share(v)} of queries", "attack_emotion_named_chance"),
    "attack_spoken_correlation": (lambda v: f"spectrogram of the speech recovered, correlation {v:.2f}", None),
    "attack_speaker_named": (lambda v: f"speaker named from {_share(v)} of queries", "attack_speaker_named_chance"),
}  # fmt: skip


def sentences(row: Row) -> list[str]:
    """What attackers reached on ``row``, in words, the worst first; metrics without words are not among them."""
    said = []
    for name, (words, beside) in _WORDS.items():
        value = row.metrics.get(name)
        if value is None:
            continue
        chance = row.metrics.get(beside) if beside else None
        said.append(words(value) + (f" (chance {_share(chance)})" if chance is not None else ""))
    return said


def best(row: Row) -> str | None:
    """The one thing to know about attacks on ``row``; None when none was run."""
    known = sentences(row)
    if known:
        return known[0][0].upper() + known[0][1:]
    plain = [(name, value) for name, value in row.metrics.items() if name.startswith(_PREFIX) and value is not None]
    if not plain:
        return None
    name, value = plain[0]
    return f"{name.removeprefix(_PREFIX).replace('_', ' ')} {value:.3g}"
