"""What independent listeners hear of speech under a secret-key transform: as it is, wrongly decrypted, and attacked.

The attackers are those of :mod:`sotto.bench.papers.niwa.attackers`, on the same forms of speech; what they make of it
is heard by this project's verifier and recogniser and, on the same clips, by the published listeners of this package.
The row *plain* is speech that was never encrypted, *wrong-key* speech that was decrypted with another key of the same
kind.  The quick preset leaves out the neural inverter, the weakest of them and the longest to train.  Spectrograms are
left out: the listeners hear sound.

* ``eer_…``: all pairs of utterances of test speakers, both as the attacker has them; ``eer_…_enrolled_plain``: one of
  each pair in the clear, which is an attacker who has a recording of the speaker;
* ``wer_dictation_…``: whole utterances of the same speakers, any words; ``wer_digits_…``: digit strings by a listener
  who expects digits;
* ``speech_found_percent``: balanced share of 32 ms frames called as in the clear by the detector; 50 is chance;
* ``dnsmos``: 1 to 5.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import Tensor

from sotto import keyed
from sotto.audio import read
from sotto.bench.listeners.published import (
    SPEECH,
    dictated,
    digits,
    quality,
    speaker_embeddings,
    speech_probabilities,
    word_error_rate,
)
from sotto.bench.papers.niwa.attackers import (
    Stage,
    attacked,
    decrypted_with,
    key_exact,
    trained_inverters,
)
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.row import Metrics, Row, told
from sotto.bench.speech_tasks.spoken_digits import RATE as STRING_RATE
from sotto.bench.speech_tasks.verification import (
    RATE,
    equal_error_rate,
    same_speaker,
    similarities,
    tested_utterances,
)

DESCRIPTION = "what published listeners hear of keyed speech, attacked and not, beside ours (--data DIR)"

SIZES = {"quick": (10,), "full": (3, 5, 10, 15, 20, 128)}
_UTTERANCES = 3  # of each test speaker, for who speaks and whether somebody does
_STRINGS = 20
_JUDGED = 3  # utterances whose quality is judged
_WORD_SECONDS = 5.0  # about how long the utterances are that are dictated, one of each speaker
_INAUDIBLE = 1e-4  # at unit power; half a step of 16 bits at the level of the listeners is 3e-4

Wave = npt.NDArray[np.float32]


@dataclass(eq=False)
class Material:
    """What all listeners hear, in the clear, and what they make of it.

    Attributes
    ----------
    stage
        the attackers' speech and this project's listeners.
    chosen
        positions of the utterances that are heard, in the verifier's inputs.
    speakers
        of these utterances.
    spoken, words
        whole utterances (samples,) at 16 kHz, and their transcripts.
    """

    stage: Stage
    chosen: npt.NDArray[np.int64]
    speakers: Sequence[str]
    spoken: Sequence[Wave]
    words: Sequence[str]

    def __post_init__(self) -> None:
        self.utterances = self.stage.verifier.inputs[self.chosen]
        self.strings = self.stage.strings.said[:_STRINGS]
        self.references = self.stage.recogniser.references[:_STRINGS]
        self.lengths = [len(string.samples) for string in self.stage.recogniser.strings[:_STRINGS]]
        self.plain_voices = torch.from_numpy(speaker_embeddings(self.utterances.numpy()))
        self.plain_voices_ours = self._embedded(self.utterances)
        self.speaks = speech_probabilities(self.utterances.numpy()) >= SPEECH
        self.plain = self.figures(self.utterances, self.spoken, self.strings)

    @classmethod
    def open(cls, request: Request) -> Material:
        stage = Stage.open(request)
        tested = tested_utterances(request.data)
        speakers = tested.labels("speaker")
        chosen = np.array([i for i, name in enumerate(speakers) if speakers[:i].count(name) < _UTTERANCES])
        spoken: dict[str, tuple[float, Wave, str]] = {}
        for clip, name in zip(tested, speakers, strict=True):
            wave = read(clip, RATE)
            gap = abs(len(wave) / RATE - _WORD_SECONDS)
            if clip.transcript and (name not in spoken or gap < spoken[name][0]):
                spoken[name] = gap, wave / np.sqrt(np.mean(wave**2)), clip.transcript
        waves, words = zip(*((wave, text) for _, wave, text in spoken.values()), strict=True)
        return cls(stage, chosen, [speakers[i] for i in chosen], waves, words)

    def figures(self, utterances: Tensor, spoken: Sequence[Wave], strings: Tensor) -> dict[str, float | None]:
        """What everybody hears in sounds that stand for the material, in its order."""
        voices, ours = torch.from_numpy(speaker_embeddings(utterances.numpy())), self._embedded(utterances)
        found = speech_probabilities(utterances.numpy()) >= SPEECH
        frames = min(found.shape[1], self.speaks.shape[1])  # what fills no block is not sent
        cut = [wave[:n] for wave, n in zip(strings.numpy(), self.lengths, strict=True)]
        heard = digits(soxr.resample(wave, STRING_RATE, RATE) for wave in cut)
        return {
            "eer_published": self._all_pairs(voices),
            "eer_ours": self._all_pairs(ours),
            "eer_published_enrolled_plain": self._against(self.plain_voices, voices),
            "eer_ours_enrolled_plain": self._against(self.plain_voices_ours, ours),
            "wer_dictation_published": 100 * word_error_rate(self.words, dictated(spoken)),
            "wer_digits_published": 100 * word_error_rate(self.references, heard),
            "wer_digits_ours": 100 * word_error_rate(self.references, self.stage.recogniser.transcribe(cut)),
            "speech_found_percent": 100
            * float(balanced_accuracy_score(self.speaks[:, :frames].ravel(), found[:, :frames].ravel())),
            "dnsmos": quality(utterances.numpy()[:: max(1, len(utterances) // _JUDGED)][:_JUDGED]),
        }

    def heard(self, key: keyed.Key, guesses: Sequence[keyed.Key | None]) -> Metrics:
        """What everybody hears after decryption with a guess for each form of speech; None decrypts nothing.

        What differs from the plain speech by less than 16 bits show is not heard again.
        """
        utterances, spoken = decrypted_with(self.utterances, key, guesses[0]), self._spoken(key, guesses[0])
        strings = decrypted_with(self.strings, key, guesses[1])
        exact = {"key_exact": key_exact(guesses[0], key)}
        same = all(
            bool((one - plain[..., : one.shape[-1]]).abs().max() < _INAUDIBLE)
            for one, plain in ((utterances, self.utterances), (strings, self.strings))
        )
        return exact | (self.plain if same else self.figures(utterances, spoken, strings))

    def _spoken(self, key: keyed.Key, guess: keyed.Key | None) -> list[Wave]:
        return [decrypted_with(torch.from_numpy(wave)[None], key, guess)[0].numpy() for wave in self.spoken]

    def _embedded(self, utterances: Tensor) -> Tensor:
        return self.stage.verifier.outputs(self.stage.verifier.module, utterances)

    def _all_pairs(self, voices: Tensor) -> float:
        return 100 * equal_error_rate(similarities(voices), same_speaker(self.speakers))

    def _against(self, enrolled: Tensor, tried: Tensor) -> float:
        """Every utterance in the clear against every other one as it is heard."""
        names = np.array(self.speakers)
        first, second = np.nonzero(~np.eye(len(names), dtype=bool))
        cosines = torch.nn.functional.cosine_similarity(enrolled[first], tried[second]).numpy()
        return 100 * equal_error_rate(cosines, names[first] == names[second])


def run(request: Request) -> Iterator[Row]:
    """A row for plain speech, then one for each key type, block size and attacker."""
    request.require_corpus("librispeech", "fsdd")
    material = Material.open(request)
    request.say(f"plain: {told(material.plain)}")
    yield _row("none", None, "plain", material.plain, material, request)
    for size in SIZES[request.preset]:
        for kind in keyed.KEY_TYPES:
            for attacker, metrics in _attacked(kind, size, material, request):
                request.say(f"{kind} {size}, {attacker}: {told(metrics)}")
                yield _row(kind, size, attacker, metrics, material, request)


def _attacked(kind: keyed.KeyType, size: int, material: Material, request: Request) -> Iterator[tuple[str, Metrics]]:
    """Attacker and figures; the key is the first of the attackers' own evaluation."""
    speeches = [material.stage.utterances, material.stage.strings]
    inverters = trained_inverters(kind, size, speeches) if request.preset == "full" else []
    others = drawn_keys(kind, size, seed=request.seed, purpose="wrong keys")
    key = next(drawn_keys(kind, size, seed=request.seed, purpose="attacks"))
    wrong = next(other for other in others if other != key)
    yield "wrong-key", material.heard(key, [wrong, wrong])
    yield from attacked(key, speeches, inverters, material.heard)


def _row(kind: str, size: int | None, attacker: str, metrics: Metrics, material: Material, request: Request) -> Row:
    stage = material.stage
    return Row(
        paradigm="keyed" if size else "plaintext",
        mode=kind,
        model="resemblyzer, pocketsphinx, silero-vad, dnsmos; speaker-embedding, patch-ctc",
        corpus=", ".join(dict.fromkeys([stage.verifier.corpus, stage.recogniser.corpus])),
        split="unseen speakers",
        seed=request.seed,
        n_queries=len(material.utterances),
        parameters={"attacker": attacker, "block_size": size, "keys": 1 if size else 0},
        metrics={"correlation": 1.0, **metrics} if attacker == "plain" else metrics,
    )
