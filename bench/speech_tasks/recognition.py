"""Speech recognition (ASR): digit strings of speakers the recogniser has never heard, scored by word error rate.

A CTC network on log-mel frames, its first convolution 3 × 3 with stride 3.  FSDD has six speakers; every fold tests two
of them with a recogniser trained on the other four, on espeak-ng's voices, and on all of those at other speeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jiwer
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.audio import load_corpus
from sotto.audio.features import LogMel
from sotto.audio.splits import speaker_folds
from sotto.bench.experiment import Say
from sotto.bench.speech_tasks.spoken_digits import (
    RATE,
    DigitString,
    Take,
    compose,
    recorded_takes,
    spelled,
    synthetic_takes,
)
from sotto.bench.speech_tasks.task import SpeechTask, clips_digest
from sotto.models.architectures import Argument, build
from sotto.models.learning.augmentation import mask
from sotto.models.learning.cached_model import kept
from sotto.models.learning.seeding import seeded
from sotto.models.networks.ctc import BLANK, best_path
from sotto.models.weights import ModelRecord

BLOCK_SIZE = 3
FEATURES = LogMel(
    rate=RATE, n_fft=512, win=256, hop=80, mels=48, fmin=60.0, fmax=3900.0, frames=None, normalisation="mean",
    top_db=60.0,
)  # fmt: skip
_SCALE = 20.0  # decibels, about the spread of a band
_LONGEST_SILENCE = 240  # frames after the longest string of a training batch
_REVISION = 3


@dataclass(frozen=True)
class Training:
    """How the recogniser is trained.

    Attributes
    ----------
    strings, epochs
        composed strings, and passes over them.
    batch, rate, weight_decay
        of AdamW, with warm-up and cosine decay.
    speeds
        a string is played at a speed between these.
    synthetic_share
        how many of the strings espeak-ng's voices speak.
    bands, band_width, moments, moment_width
        masked stretches, in bands and frames.
    colour
        standard deviation of a random smooth frequency response, in units of the features.
    """

    strings: int
    epochs: int
    batch: int = 32
    rate: float = 2e-3
    weight_decay: float = 1e-2
    speeds: tuple[float, float] = (0.8, 1.25)
    synthetic_share: float = 0.3
    bands: int = 2
    band_width: float = 8.0
    moments: int = 1
    moment_width: float = 12.0
    colour: float = 0.25


TRAINING = {"quick": Training(strings=1600, epochs=8), "full": Training(strings=4000, epochs=12)}
TEST_STRINGS = {"quick": 60, "full": 200}  # of a fold


@dataclass(frozen=True, eq=False)
class Recogniser:
    """A trained recogniser of digit strings and the strings it is tested on.

    ``module`` is plain and in evaluation mode; ``strings`` are of speakers it has not heard.
    """

    module: nn.Module
    strings: list[DigitString]
    split: str
    corpus: str

    @cached_property
    def task(self) -> SpeechTask:
        """The strings as Alice encrypts them, and the word error rate."""
        return SpeechTask(
            name="asr",
            corpus=self.corpus,
            split=self.split,
            module=self.module,
            inputs=log_mel([string.samples for string in self.strings]),
            block_size=BLOCK_SIZE,
            dimension=2,
            metric="wer",
            figure=self.word_error_rate,
        )

    @cached_property
    def references(self) -> list[str]:
        """What was said, in words."""
        return [string.text for string in self.strings]

    def transcribe(self, waves: Sequence[npt.NDArray[np.float32]]) -> list[str]:
        """The words the plain recogniser hears in sounds (n,) at 8 kHz, whatever was done to them."""
        return transcribed(self.task.outputs(self.module, log_mel(waves)))

    def word_error_rate(self, scores: Tensor) -> float:
        """Of a network's outputs (n, words + 1, frames) for the test strings, in their order."""
        return float(jiwer.wer(self.references, transcribed(scores)))

    def word_error_rate_of(self, waves: Sequence[npt.NDArray[np.float32]]) -> float:
        """Of the plain recogniser on sounds that stand for the test strings, in their order."""
        return float(jiwer.wer(self.references, self.transcribe(waves)))


def transcribed(scores: Tensor) -> list[str]:
    """The words on the best path of each output."""
    return [spelled(path) for path in best_path(scores)]


def log_mel(waves: Sequence[npt.NDArray[np.float32]], frames: int | None = None) -> Tensor:
    """What Alice encrypts: (n, 48, frames) float32, every band without its mean over the string.

    Shorter strings are filled with the quietest value each band has in them; ``frames`` defaults to the longest's.
    """
    each = [FEATURES.compute(np.asarray(wave, np.float32)) / _SCALE for wave in waves]
    length = frames or max(bands.shape[1] for bands in each)
    length = math.ceil(length / BLOCK_SIZE) * BLOCK_SIZE
    rows = torch.empty((len(each), FEATURES.mels, length))
    for row, bands in zip(rows, each, strict=True):
        used = min(bands.shape[1], length)
        row[:, :used] = torch.from_numpy(bands[:, :used])
        row[:, used:] = torch.from_numpy(bands.min(1, keepdims=True))
    return rows


def recognisers(data: Path | None, *, preset: str, seed: int, say: Say, folds: int | None = None) -> list[Recogniser]:
    """A recogniser for each fold of speakers (quick: the first fold alone), trained now or taken from the cache.

    Parameters
    ----------
    data
        the folder that holds FSDD; None takes espeak-ng's voices instead of people.
    folds
        how many of the folds, instead of the preset's number.

    Raises
    ------
    CorpusError
        one clear line.
    """
    wanted = folds or (1 if preset == "quick" else 3)
    speakers = [_built_in_voices()] if data is None else _recorded_speakers(data, seed)[:wanted]
    trained = []
    for each in speakers:
        module = _trained(each, preset, seed, say)
        strings = compose(each.test, TEST_STRINGS[preset], np.random.default_rng([seed, 1]))
        trained.append(Recogniser(module, strings, each.split, each.corpus))
    return trained


@dataclass(frozen=True, eq=False)
class _Speakers:
    """Takes to train on and takes of other speakers to test; ``digest`` names the first."""

    corpus: str
    split: str
    digest: str
    train: Sequence[Take]
    test: Sequence[Take]


def _recorded_speakers(data: Path, seed: int) -> list[_Speakers]:
    corpus = load_corpus("fsdd", data)
    takes = recorded_takes(corpus)
    return [
        _Speakers(
            corpus.name,
            split.name,
            clips_digest(corpus, split.train),
            [takes[i] for i in split.train],
            [takes[i] for i in split.test],
        )
        for split in speaker_folds(corpus, 3, seed, validation=0)
    ]


def _built_in_voices() -> _Speakers:
    """Two thirds of them, and the others to test."""
    takes = synthetic_takes(4)
    held_out = set(sorted({take.speaker for take in takes})[::3])
    train, test = ([take for take in takes if (take.speaker in held_out) == tested] for tested in (False, True))
    return _Speakers("synthetic", "every third voice", "espeak-ng", train, test)


def _trained(speakers: _Speakers, preset: str, seed: int, say: Say) -> nn.Module:
    training = TRAINING[preset]
    arguments: dict[str, Argument] = {"words": 10, "block_size": BLOCK_SIZE, "bands": FEATURES.mels}

    def train() -> tuple[nn.Module, ModelRecord]:
        say(f"asr: training a recogniser, {training.strings} strings × {training.epochs} ({speakers.split})")
        with seeded(seed):
            module = build("patch-ctc", arguments)
            _fit(module, _training_strings(speakers.train, training, seed), training, seed)
        record = ModelRecord(
            architecture="patch-ctc", arguments=arguments, classes=(), features=FEATURES.to_record(),
            corpus=speakers.corpus, split=speakers.split, seed=seed,
        )  # fmt: skip
        return module, record

    about = {
        "clips": speakers.digest,
        "split": speakers.split,
        "features": FEATURES.cache_record(),
        "arguments": arguments,
        "training": vars(training),
        "seed": seed,
        "revision": _REVISION,
    }
    return kept(f"asr-{preset}", about, train)[0]


def _training_strings(takes: Sequence[Take], training: Training, seed: int) -> list[DigitString]:
    """Strings of people and of synthetic voices, at many speeds."""
    generator = np.random.default_rng([seed, 0])
    synthetic = round(training.strings * training.synthetic_share)
    strings = compose(takes, training.strings - synthetic, generator, speeds=training.speeds)
    if synthetic:
        strings += compose(synthetic_takes(4), synthetic, generator, speeds=training.speeds)
    return strings


def _fit(module: nn.Module, strings: Sequence[DigitString], training: Training, seed: int) -> None:
    """CTC with AdamW, warm-up and cosine decay."""
    inputs = log_mel([string.samples for string in strings])
    frames_of = torch.tensor([1 + string.samples.size // FEATURES.hop for string in strings])
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.AdamW(module.parameters(), lr=training.rate, weight_decay=training.weight_decay)
    per_epoch = len(strings) // training.batch
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, training.rate, per_epoch * training.epochs, pct_start=0.1)
    module.train()
    for _ in range(training.epochs):
        for part in _batches(frames_of, training.batch, generator):
            silence = int(torch.randint(_LONGEST_SILENCE, (1,), generator=generator))  # the test strings end in it too
            x = inputs[part, :, : int(frames_of[part].max()) + silence]
            scores = module(_varied(x, training, generator))
            words = [torch.tensor(strings[i].digits) + 1 for i in part.tolist()]
            lengths = torch.tensor([len(each) for each in words])
            frames = torch.full((len(part),), scores.shape[2])
            loss = F.ctc_loss(scores.permute(2, 0, 1), torch.cat(words), frames, lengths, BLANK, zero_infinity=True)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimiser.step()
            rate.step()
    module.eval()


def _batches(lengths: Tensor, batch: int, generator: torch.Generator) -> list[Tensor]:
    """Positions in random batches whose members have about the same length; what fills no batch is left out."""
    order = torch.argsort(lengths + 30 * torch.randn(len(lengths), generator=generator))
    parts = order[: len(order) // batch * batch].reshape(-1, batch)
    return list(parts[torch.randperm(len(parts), generator=generator)])


def _varied(x: Tensor, training: Training, generator: torch.Generator) -> Tensor:
    """Another microphone (a smooth frequency response), masked bands and masked moments."""
    place = torch.linspace(0, math.pi, x.shape[1])
    waves = torch.stack([torch.cos(k * place) for k in (1, 2, 3)])
    x = x + (torch.randn(len(x), 3, generator=generator) * training.colour @ waves)[:, :, None]
    floor = x.amin((1, 2), keepdim=True)
    x = mask(x, 1, training.bands, training.band_width, floor / 2, generator)
    return mask(x, 2, training.moments, training.moment_width, floor / 2, generator)
