"""The measures of the VoicePrivacy challenge on what each paradigm lets a provider have, on the same clips.

Who speaks (equal error rate of a verifier), what is said (word error rate of a recogniser) and how (unweighted average
recall of the emotion), after Tomashenko et al., The VoicePrivacy 2024 Challenge, where the first is privacy and the
others are use.  Here nobody has to listen to what is sent, the answer is the use, so all three are leaks: the higher
the error rates and the lower the recall (down to chance), the less is told.  The attacker knows the method and has
recordings of other people: the machine that looks for emotions learns from such recordings after the same treatment
under another key, the verifier compares two queries under one key, and where an attack without any plain speech is
known (`keyed`) they listen afterwards too.

Speech is judged by Resemblyzer and PocketSphinx; hashes, which nobody can listen to, by their Hamming distance, and
words are not in them.  `mpc` and `he` have no row: what a provider sees there is independent of the speech by their
proofs, and a figure would only be that of noise.

Every figure has a 95 % interval (``…_low``, ``…_high``) by a bootstrap over the test speakers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch

from sotto import hashing, keyed
from sotto.audio import read
from sotto.audio.features import EGeMAPS
from sotto.bench.listeners.experiments.bootstrap import SpeakerInterval, over_speakers
from sotto.bench.listeners.published import dictated, speaker_embeddings, word_errors
from sotto.bench.papers.dias.smh.study import Fold, hashed_answers, leaking, search_machine
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row, told
from sotto.bench.speech_tasks.verification import equal_error_rate
from sotto.bench.workbench import Workbench
from sotto.keyed.attacks import guess_key
from sotto.models import Normalisation
from sotto.models.svm.svm import train_svm

DESCRIPTION = "VoicePrivacy measures on what a provider has: who speaks, what is said, how; one table (--data DIR)"

TESTED = {"quick": 4, "full": 20}  # clips of every test speaker
LEARNT = {"quick": 8, "full": 40}  # clips of every other speaker, for the machines of the attacker
BLOCK = 10
_ATTACKED, _PUBLIC, _SECONDS, _STARTS = 10, 80, 3.0, 32
_K, _SHARE = 3, 0.28
_SPEC = EGeMAPS()

Wave = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]
Treatment = Callable[[Sequence[Wave]], list[Wave]]


@dataclass(frozen=True, eq=False)
class Clips:
    """Sounds (samples,) at 16 kHz, who speaks (n,), the emotion as a class (n,), and what is said, where it matters."""

    waves: Sequence[Wave]
    speakers: npt.NDArray[np.str_]
    emotions: npt.NDArray[np.int64]
    words: Sequence[str]


def run(request: Request) -> Iterator[Row]:
    """A row for plain speech, for every key type as sent and as attacked, and for hashes."""
    request.require_corpus("ravdess")
    bench = request.open_workbench()
    learnt = _clips(bench, [*bench.split.train, *bench.split.validation], LEARNT[request.preset])
    tested = _clips(bench, bench.split.test, TESTED[request.preset])
    for paradigm, mode, seen, figures in _measured(learnt, tested, request.seed):
        request.say(f"{paradigm}/{mode}, {seen}: {told(figures)}")
        yield _row(paradigm, mode, seen, figures, tested, bench)


def _measured(learnt: Clips, tested: Clips, seed: int) -> Iterator[tuple[str, str, str, Metrics]]:
    """Paradigm, mode, what a provider has, and the measures of it."""
    yield "plaintext", "none", "speech", heard(learnt, tested, tested.waves, _untouched)
    for kind in keyed.KEY_TYPES:
        key, own = islice(drawn_keys(kind, BLOCK, seed=seed, purpose="voice privacy"), 2)
        sent = encrypted(tested.waves, key)
        yield "keyed", kind, "as sent", heard(learnt, tested, sent, partial(encrypted, key=own))
        guess = _guess(sent, learnt, key)
        if guess is not None:
            opened = [keyed.decrypt(torch.from_numpy(wave)[None], guess)[0].numpy() for wave in sent]
            yield "keyed", kind, "attacked", heard(learnt, tested, opened, _untouched)
    yield "hashing", "smh", "as sent", hashed(learnt, tested, seed)


def heard(learnt: Clips, tested: Clips, has: Sequence[Wave], treatment: Treatment) -> Metrics:
    """All three measures of sounds ``has`` that stand for the tested clips; ``treatment`` is that of the others."""
    voices = speaker_embeddings(has)
    errors, counts = word_errors(tested.words, dictated(has))
    return {
        **_linked(voices @ voices.T, tested.speakers),
        **_figures(
            "wer", over_speakers(lambda weights: 100 * float(weights @ errors / (weights @ counts)), tested.speakers)
        ),
        **_recalled(_svm_answers(learnt, functionals(treatment(learnt.waves)), functionals(has)), tested),
    }


def hashed(learnt: Clips, tested: Clips, seed: int) -> Metrics:
    """Speakers by the distance of hashes under one key, the emotion by the provider's own machine on hashes."""
    scaled = Normalisation.standard(functionals(learnt.waves), clip=3.0)
    train, test = (scaled.transform(functionals(part.waves)).astype(np.float64) for part in (learnt, tested))
    key = hashing.HashKey.generate(leaking(train, _SHARE, _K), seed=seed)
    fold = Fold(train, test, learnt.emotions, tested.emotions, learnt.speakers, tested.speakers, tested.speakers)
    hashes = hashing.pack(hashing.modular_hash(test, key), _K)
    return {
        **_linked(-hashing.hamming_distances(hashes, hashes), tested.speakers),
        **_recalled(hashed_answers(fold, key, search_machine(fold, key)), tested),
    }


def encrypted(waves: Sequence[Wave], key: keyed.Key) -> list[Wave]:
    """Each sound as it is sent, in whole blocks."""
    return [keyed.encrypt(torch.from_numpy(wave)[None], key)[0].numpy() for wave in waves]


def functionals(waves: Sequence[Wave]) -> npt.NDArray[np.float32]:
    """88 eGeMAPS functionals (n, 88) float32; 0 where openSMILE finds none."""
    return np.nan_to_num(np.stack([_SPEC.compute(wave) for wave in waves])).astype(np.float32)


def _untouched(waves: Sequence[Wave]) -> list[Wave]:
    return list(waves)


def _guess(sent: Sequence[Wave], learnt: Clips, key: keyed.Key) -> keyed.Key | None:
    """The search that needs no plain speech, with speech of other people for comparison."""
    some, public = (
        middles(part[:: max(1, len(part) // most)][:most])
        for part, most in ((list(sent), _ATTACKED), (list(learnt.waves), _PUBLIC))
    )
    return guess_key(some, public, key, starts=_STARTS)


def middles(waves: Sequence[Wave]) -> torch.Tensor:
    """The middle of each sound at unit power (n, samples), cut between blocks: an attacker knows where they begin."""
    length = round(_SECONDS * _SPEC.sample_rate) // BLOCK * BLOCK
    rows = []
    for wave in waves:
        start = max(0, (len(wave) - length) // 2) // BLOCK * BLOCK
        cut = np.resize(wave[start : start + length], length)
        rows.append(cut / max(float(np.sqrt(np.mean(cut**2))), 1e-9))
    return torch.from_numpy(np.stack(rows).astype(np.float32))


def _svm_answers(
    learnt: Clips, known: npt.NDArray[np.float32], asked: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    scaled = Normalisation.standard(known, clip=3.0)
    svm, _ = train_svm(scaled.transform(known), learnt.emotions, learnt.speakers.tolist())
    return svm.predict(scaled.transform(asked))


def _linked(alike: npt.NDArray[np.floating], speakers: npt.NDArray[np.str_]) -> Metrics:
    """Equal error rate of all pairs; a speaker drawn twice makes no pair with its copy."""
    first, second = np.triu_indices(len(speakers), 1)
    same, scores = speakers[first] == speakers[second], np.asarray(alike)[first, second]

    def rate(weights: Floats) -> float:
        each = np.where(same, weights[first], weights[first] * weights[second])
        return 100 * equal_error_rate(scores, same, each)

    return _figures("eer", over_speakers(rate, speakers))


def _recalled(answers: npt.NDArray[np.int64], tested: Clips) -> Metrics:
    """Mean over the emotions of the share that is told rightly."""
    right = answers == tested.emotions

    def recall(weights: Floats) -> float:
        each = [tested.emotions == emotion for emotion in np.unique(tested.emotions)]
        return 100 * float(
            np.mean([weights[one] @ right[one] / weights[one].sum() for one in each if weights[one].any()])
        )

    return _figures("emotion_recall", over_speakers(recall, tested.speakers))


def _figures(name: str, found: SpeakerInterval) -> dict[str, float | None]:
    return {f"{name}_percent": found.value, f"{name}_percent_low": found.low, f"{name}_percent_high": found.high}


def _clips(bench: Workbench, places: Sequence[int], most: int) -> Clips:
    """At most so many clips of each speaker, spread over what there is, at the listeners' rate."""
    chosen: list[int] = []
    for speaker in sorted({bench.speakers[i] for i in places}):
        own = [i for i in places if bench.speakers[i] == speaker]
        chosen += np.random.default_rng([bench.seed, int(own[0])]).permutation(own)[:most].tolist()
    clips = [bench.corpus[i] for i in chosen]
    return Clips(
        [read(clip, _SPEC.sample_rate) for clip in clips],
        np.array([bench.speakers[i] for i in chosen]),
        bench.targets[chosen],
        [clip.transcript or "" for clip in clips],
    )


def _row(paradigm: str, mode: str, seen: str, figures: Metrics, tested: Clips, bench: Workbench) -> Row:
    return Row(
        paradigm=paradigm,
        mode=mode,
        model="resemblyzer, pocketsphinx, svm",
        corpus=bench.corpus.name,
        split=bench.split.name,
        seed=bench.seed,
        n_queries=len(tested.waves),
        parameters={
            "seen": seen,
            "speakers": len(set(tested.speakers.tolist())),
            "block_size": BLOCK if paradigm == "keyed" else None,
        },
        metrics=figures,
    )
