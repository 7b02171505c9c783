"""Speaker verification (ASV): all pairs of utterances of speakers the network has never heard, by equal error rate.

An ECAPA-style network on waveforms, its first convolution 1 × M with stride M.  Trained on LibriSpeech's training
speakers, tested on all pairs of its test speakers; no speaker is on both sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soxr
import torch
from sklearn.metrics import roc_curve
from torch import Tensor, nn
from torch.nn import functional as F

from sotto.audio import Clip, Corpus, CorpusError, load_corpus, read
from sotto.bench.experiment import Say
from sotto.bench.speech_tasks.task import SpeechTask, clips_digest
from sotto.link import BadValue
from sotto.models.architectures import Argument
from sotto.models.learning.cached_model import kept
from sotto.models.learning.seeding import seeded
from sotto.models.learning.speaker_training import SpeakerSchedule, train_embeddings
from sotto.models.networks.speaker_embedding import RATE, SpeakerEmbedding
from sotto.models.weights import ModelRecord

BLOCK_SIZE = 10
SECONDS = 8.0
SPEEDS = (0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.15)
SCHEDULES = {"quick": SpeakerSchedule(steps=250), "full": SpeakerSchedule()}
_REVISION = 2

Wave = npt.NDArray[np.float32]


def verification_task(
    data: Path | None,
    *,
    preset: str,
    seed: int,
    say: Say,
    block_size: int = BLOCK_SIZE,
    seconds: float = SECONDS,
    utterances: int | None = None,
) -> SpeechTask:
    """The network, trained now or taken from the cache, and its test utterances as :func:`queries`.

    Parameters
    ----------
    data
        the folder that holds LibriSpeech; None takes espeak-ng's voices instead of people.
    block_size
        of the first convolution.  The same trained trunk serves all: only how the filterbank is divided
        between the first two convolutions differs.
    seconds
        length of the test queries.
    utterances
        at most so many of each test speaker.

    Raises
    ------
    CorpusError
        one clear line.
    """
    corpus, training, test = _parts(data)
    trained = _trained(corpus.subset(training), preset, seed, say)
    module = in_blocks(trained, block_size)
    tested = _at_most(corpus.subset(test), utterances)
    same = same_speaker(tested.labels("speaker"))
    return SpeechTask(
        name="asv",
        corpus=corpus.name,
        split=f"{len(tested.speakers)} test speakers, all pairs",
        module=module,
        inputs=queries([read(clip, RATE) for clip in tested], block_size, seconds),
        block_size=block_size,
        dimension=1,
        metric="eer",
        figure=lambda embeddings: equal_error_rate(similarities(embeddings), same),
    )


def queries(waves: Sequence[Wave], block_size: int = BLOCK_SIZE, seconds: float = SECONDS) -> Tensor:
    """What Alice encrypts: float32 (n, samples), the middle ``seconds`` of every utterance (16 kHz) at unit power.

    Shorter ones are repeated; the length is a multiple of the block size.
    """
    length = round(seconds * RATE) // block_size * block_size
    rows = torch.empty((len(waves), length))
    for row, wave in zip(rows, waves, strict=True):
        scaled = np.asarray(wave, np.float32) / max(float(np.sqrt(np.mean(np.square(wave, dtype=np.float64)))), 1e-9)
        start = max(0, (scaled.size - length) // 2)
        row.copy_(torch.from_numpy(np.resize(scaled[start : start + length], length)))
    return rows


def public_speech(data: Path | None, *, rate: int = RATE, most: int = 120) -> list[Wave]:
    """Utterances of training speakers at ``rate``, float32 (samples,): what an attacker can have of other people.

    Raises
    ------
    CorpusError
        one clear line.
    """
    corpus, training, _ = _parts(data)
    chosen = np.linspace(0, len(training) - 1, min(most, len(training))).astype(int)
    return [read(corpus[training[i]], rate) for i in chosen]


def tested_utterances(data: Path | None) -> Corpus:
    """The utterances of the test speakers, in the order of :func:`verification_task`'s inputs.

    Raises
    ------
    CorpusError
        one clear line.
    """
    corpus, _, test = _parts(data)
    return corpus.subset(test)


def in_blocks(module: SpeakerEmbedding, block_size: int) -> SpeakerEmbedding:
    """The same trunk behind a filterbank that reads blocks of another size."""
    arguments = module.arguments | {"block_size": block_size}
    with seeded(0):
        other = SpeakerEmbedding(**arguments)
    other.trunk.load_state_dict(module.trunk.state_dict())
    return other.eval()


def similarities(embeddings: Tensor) -> npt.NDArray[np.float32]:
    """Cosines of all pairs i < j of embeddings (n, size): (n (n - 1) / 2,), row after row."""
    unit = F.normalize(embeddings, dim=1)
    cosines: npt.NDArray[np.float32] = (unit @ unit.T).numpy()[np.triu_indices(len(unit), 1)]
    return cosines


def same_speaker(speakers: Sequence[str]) -> npt.NDArray[np.bool_]:
    """Whether the speakers of each pair i < j are the same."""
    names = np.array(speakers)
    first, second = np.triu_indices(len(names), 1)
    return np.asarray(names[first] == names[second], np.bool_)


def equal_error_rate(
    scores: npt.NDArray[np.floating], same: npt.NDArray[np.bool_], weights: npt.NDArray[np.floating] | None = None
) -> float:
    """Where as many different pairs are accepted as same pairs are refused, in shares; between two thresholds, linear.

    Pairs with equal scores are accepted or refused together.  ``weights``: how often each pair counts, by default once.

    Raises
    ------
    ValueError
        there are no pairs of one of the kinds.
    """
    if same.all() or not same.any():
        raise BadValue("one-sided", "an equal error rate needs pairs of the same speaker and pairs of different ones")
    alarms, accepted, _ = roc_curve(same, scores, sample_weight=weights, drop_intermediate=False)
    misses = 1 - accepted
    after = int(np.argmax(alarms >= misses))
    before = max(after - 1, 0)
    gap_before, gap_after = misses[before] - alarms[before], misses[after] - alarms[after]
    share = 0.0 if gap_before == gap_after else gap_before / (gap_before - gap_after)
    return float(alarms[before] + share * (alarms[after] - alarms[before]))


def _parts(data: Path | None) -> tuple[Corpus, list[int], list[int]]:
    """The corpus, and which of its clips are trained on and tested."""
    if data is None:
        corpus = load_corpus("synthetic")
        held_out = set(corpus.speakers[::3])
        subset = ["test" if clip.speaker in held_out else "train" for clip in corpus]
    else:
        corpus = _librispeech(data)
        subset = [clip.label("subset") or "train" for clip in corpus]
    training = [i for i, part in enumerate(subset) if part == "train"]
    test = [i for i, part in enumerate(subset) if part == "test"]
    if not training or not test:
        raise CorpusError(
            "no-subsets", f"{corpus.name}: needs utterances of train-… and of test-… subsets, the folders name them"
        )
    shared = {corpus[i].speaker for i in training} & {corpus[i].speaker for i in test}
    if shared:
        raise CorpusError(
            "shared-speaker", f"{corpus.name}: speaker {min(map(str, shared))} is both trained on and tested"
        )
    return corpus, training, test


def _librispeech(data: Path) -> Corpus:
    """Every LibriSpeech folder in ``data`` (names that begin so), or ``data`` itself; no utterance twice."""
    folder = data.expanduser()
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    folders = [entry for entry in inside if entry.is_dir() and entry.name.lower().startswith("librispeech")]
    clips: dict[str, Clip] = {}
    for part in folders or [folder]:
        for clip in load_corpus("librispeech", part):
            clips.setdefault(clip.id, clip)
    return Corpus("librispeech", tuple(clips.values()))


def _at_most(corpus: Corpus, utterances: int | None) -> Corpus:
    if utterances is None:
        return corpus
    speakers = corpus.labels("speaker")
    return corpus.subset([i for i, speaker in enumerate(speakers) if speakers[:i].count(speaker) < utterances])


def _trained(corpus: Corpus, preset: str, seed: int, say: Say) -> SpeakerEmbedding:
    schedule = SCHEDULES[preset]
    arguments: dict[str, Argument] = {"size": 128, "block_size": BLOCK_SIZE}

    def train() -> tuple[nn.Module, ModelRecord]:
        say(f"asv: training on {len(corpus.speakers)} speakers of {corpus.name}, {schedule.steps} steps")
        with seeded(seed):
            module = SpeakerEmbedding(size=128, block_size=BLOCK_SIZE)
            voices = _voices(module, corpus)
            train_embeddings(module.trunk, voices, schedule, seed=seed, label=f"{corpus.name} asv")
        record = ModelRecord(
            architecture="speaker-embedding", arguments=arguments, classes=(), corpus=corpus.name,
            split="training speakers", seed=seed,
        )  # fmt: skip
        return module, record

    about = {
        "clips": clips_digest(corpus, range(len(corpus))),
        "arguments": arguments,
        "schedule": asdict(schedule),
        "speeds": SPEEDS,
        "seed": seed,
        "revision": _REVISION,
    }
    module, _ = kept(f"asv-{preset}", about, train)
    if not isinstance(module, SpeakerEmbedding):  # cached under the name of that architecture
        raise CorpusError("bad-cache", "the cached model is no speaker embedding: empty the cache folder")
    return module


def _voices(module: SpeakerEmbedding, corpus: Corpus) -> list[list[Tensor]]:
    """Log-mel frames (bands, frames) float16 of every speaker at every speed, each speed a speaker of its own."""
    voices: dict[tuple[str, float], list[Tensor]] = {}
    for clip, speaker in zip(corpus, corpus.labels("speaker"), strict=True):
        samples = read(clip, RATE)
        for speed in SPEEDS:
            played = samples if speed == 1 else soxr.resample(samples, RATE * speed, RATE)
            scaled = played / max(float(np.sqrt(np.mean(played**2))), 1e-9)
            with torch.no_grad():
                frames = module.front(torch.from_numpy(scaled.astype(np.float32))[None])[0]
            voices.setdefault((speaker, speed), []).append(frames.half())
    return list(voices.values())
