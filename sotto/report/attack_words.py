"""What attackers reached, in words: one sentence for each attack metric that is known, the plain figure for others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sotto.bench.rows.row import Row

_PREFIX = "attack_"
_Metrics = Mapping[str, float | None]


def _share(value: float) -> str:
    return f"{100 * value:.0f} %"


def _blocks(count: float) -> str:
    return f"{count:.0f} block{'s' * (count != 1)}"


def _as_it_is(value: float) -> float:
    return value


def _found(value: float) -> float:
    """Of a metric that is only there when the attack succeeded."""
    return 1.0


def _above_guessing(auc: float) -> float:
    return abs(2 * auc - 1)


@dataclass(frozen=True)
class _Attack:
    """``words`` of the value and its row's other metrics; ``reach``: 0 for nothing, 1 for all there is to get.

    ``needs``: "", or what the adversary that a row names may lack; the words say what it is.
    ``chance``: the metric that a guess reaches.
    """

    words: Callable[[float, _Metrics], str]
    needs: str = ""
    reach: Callable[[float], float] = _as_it_is
    chance: str = ""


_CHEATING = "malicious"  # the word for it in a row's adversary
_MORE = "more than any row's adversary has"


def _features_read(value: float, metrics: _Metrics) -> str:
    if not value:
        return "Bob's search of seeds found nothing"
    minutes = metrics.get("attack_minutes_for_all_seeds")
    took = "" if minutes is None else f"; all are tried in {minutes:.1f} minutes"
    return f"Bob reads Alice's features by trying seeds{took}"


def _accepted(value: float, metrics: _Metrics) -> str:
    if value:
        return f"a cheating Bob's wrong class is accepted in {_share(value)} of altered queries"
    tried = metrics.get("cheats_tried")
    return f"none of {f'{tried:,.0f}' if tried else 'the'} altered queries was accepted"


def _inverter(value: float, metrics: _Metrics) -> str:
    exact = metrics.get("attack_inverter_key_exact")
    key = "" if exact is None else ", the exact key found" if exact else ", the exact key not found"
    return f"speech guessed by a network that never saw the key, correlation {value:.2f}{key}"


def _chosen(value: float, metrics: _Metrics) -> str:
    count = metrics.get("attack_chosen_blocks")
    if not value or count is None:
        return "blocks that the attacker had encrypted did not give the key away"
    return f"the key from {_blocks(count)} that the attacker had encrypted"


def _known_pairs(value: float, metrics: _Metrics) -> str:
    pairs = metrics.get("attack_known_pairs")
    opened = f"open {_share(value)} of clips" if value else "open no clip"
    return f"{'known pairs' if pairs is None else f'{pairs:.0f} known pairs'} of features and hashes {opened}"


def _copy(queries: int, answers: str) -> _Attack:
    return _Attack(
        lambda v, _: f"a copy of Bob's model from {queries:,} {answers} agrees on {_share(v)}",
        chance="attack_copy_agrees_chance",
    )


#: By metric; of two that reach the same the first is the worse one for the user.
_KNOWN: Mapping[str, _Attack] = {
    "attack_features_read": _Attack(_features_read),
    "attack_wrong_class_accepted": _Attack(_accepted, needs=_CHEATING),
    "attack_recovered_correlation": _Attack(
        lambda v, _: f"speech guessed from encrypted queries alone, correlation {v:.2f}"
    ),
    "attack_inverter_correlation": _Attack(_inverter),
    "attack_key_from_class": _Attack(
        lambda v, _: "Alice's secret key from the classes that Alice tells" if v
        else "the classes that Alice tells do not give the secret key away"
    ),
    "attack_copy_agrees_from_10000_logits": _copy(10_000, "scores"),
    "attack_copy_agrees_from_10000_class": _copy(10_000, "classes"),
    "attack_copy_agrees_from_512_logits": _copy(512, "scores"),
    "attack_copy_agrees_from_512_class": _copy(512, "classes"),
    "attack_speech_auc": _Attack(
        lambda v, _: f"whether somebody spoke is told with AUC {v:.2f} (a guess has 0.5)", reach=_above_guessing
    ),
    "attack_gender_auc": _Attack(
        lambda v, _: f"a woman is told from a man with AUC {v:.2f} (a guess has 0.5)", reach=_above_guessing
    ),
    "attack_speaker_named": _Attack(
        lambda v, _: f"speaker named from {_share(v)} of queries", chance="attack_speaker_named_chance"
    ),
    "attack_emotion_named": _Attack(
        lambda v, _: f"emotion named from {_share(v)} of queries", chance="attack_emotion_named_chance"
    ),
    "attack_spoken_correlation": _Attack(
        lambda v, _: f"spectrogram of the speech guessed, correlation {v:.2f}"
    ),
    "attack_chosen_key_exact": _Attack(_chosen, needs=_MORE),
    "attack_known_blocks_for_key": _Attack(
        lambda v, _: f"the key from {_blocks(v)} known in the clear", needs=_MORE, reach=_found
    ),
    "attack_key_from_raw_decryption": _Attack(
        lambda v, _: "Alice's secret key, if it gave out raw decryptions" if v
        else "raw decryptions did not give Alice's secret key away",
        needs=_MORE,
    ),
    "attack_known_pairs_recovered": _Attack(_known_pairs, needs=_MORE),
    "attack_known_key_recovered": _Attack(
        lambda v, _: f"a stolen key opens {_share(v) + ' of clips' if v else 'no clip'}", needs=_MORE
    ),
}  # fmt: skip


def sentences(row: Row) -> list[str]:
    """What attackers reached on ``row``, in words; metrics without words are not among them.

    First what the adversary named by the row reaches, then what takes more (a stolen key); each the furthest first.
    """
    adversary = row.security.adversary if row.security else ""
    said = []
    for name, attack in _KNOWN.items():
        value = row.metrics.get(name)
        if value is None:
            continue
        chance = row.metrics.get(attack.chance)
        words = attack.words(value, row.metrics) + ("" if chance is None else f" (chance {_share(chance)})")
        reach = attack.reach(value)
        if chance is not None and chance < 1:
            reach = (reach - chance) / (1 - chance)
        beyond = attack.needs not in adversary
        said.append((beyond, -reach, words))
    return [words for _, _, words in sorted(said, key=lambda each: each[:2])]


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
