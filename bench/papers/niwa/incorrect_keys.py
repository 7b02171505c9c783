"""How the error rates scatter over many incorrect ROM keys: 1000 for a verifier, 100 for a recogniser, M = 3, 5, 10.

Source: Niwa, Shiota, Kiya (extended paper), figures 9 to 11.  As there, the verifier is encrypted and gets queries
under incorrect keys, and the recogniser is an unmodified one that gets encrypted waveforms (of the first fold of
speakers).  For the keys of the lowest and of the highest error rates, a tenth each, it is drawn how far speech under
them is from speech under the correct key (figure 10): ‖x K' − x K‖ / ‖x‖ over all queries.  The papers compare three
networks of different quality; here one trained trunk stands behind filterbanks that read blocks of 3, 5 and 10, so that
only M differs.

An incorrect key K' on the query of a model encrypted under K is one linear map before the first convolution, so it is
done to the kernel, once a key, instead of to all speech: x K'·(e K)ᵀ = x·(e K K'ᵀ)ᵀ.  For some keys the speech is
encrypted as well and both ways are compared.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from torch import nn

from sotto import keyed
from sotto.bench.papers.drawing import save
from sotto.bench.papers.niwa.block_sizes import word_error_rate
from sotto.bench.papers.niwa.sounds.drawn_keys import drawn_keys
from sotto.bench.request import Request
from sotto.bench.rows.results import write_csv
from sotto.bench.rows.row import Row
from sotto.bench.speech_tasks.recognition import Recogniser, recognisers
from sotto.bench.speech_tasks.verification import verification_task
from sotto.keyed.encryption.transform import blocks

DESCRIPTION = "error rates over many incorrect ROM keys (full: 1000 verifying, 100 recognising), violins (--data DIR)"

SIZES = (3, 5, 10)
_KEYS = {"quick": {"asv": 25, "asr": 10}, "full": {"asv": 1000, "asr": 100}}
_COMPARED = 3  # keys that are also done to the speech
_SECONDS, _UTTERANCES = 3.0, 6  # of the queries, and of each test speaker
_VARIANCE = {3: 66.2, 5: 24.1, 10: 2.51}  # of the papers' RawNeXt, HuBERT5, HuBERT10, in percent squared

Rates = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Violin:
    """``rates`` (keys,), and the rate without any key where there is one."""

    label: str
    rates: Rates
    plain: float | None = None


def run(request: Request) -> list[Row]:
    """A row for each task and block size; the rates of all keys as a table and as violins in the output folder."""
    request.require_corpus("librispeech", "fsdd")
    rows: list[Row] = []
    verifying, recognising, groups = [], [], []
    for size in SIZES:
        row, violin, distances = _verifying(size, request)
        rows.append(row)
        verifying.append(violin)
        groups += groups_by_rate(size, violin.rates, distances)
    recogniser = recognisers(request.data, preset=request.preset, seed=request.seed, say=request.say, folds=1)[0]
    for size in SIZES:
        row, violin = _recognising(size, recogniser, request)
        rows.append(row)
        recognising.append(violin)
    for name, violins, metric, column in (
        ("asv", verifying, "equal error rate, %", "rate in percent"),
        ("asr", recognising, "word error rate, %", "rate in percent"),
        ("distances", groups, "distance of speech under both keys, of its norm", "distance"),
    ):
        (path,) = draw(violins, metric, request.out / f"wrong-keys-{name}.svg")
        values = [(each.label.removeprefix("M = "), f"{rate:.4f}") for each in violins for rate in each.rates]
        write_csv(path.with_suffix(".csv"), ["block size", column], values)
        request.say(f"drawn: {path}")
    return rows


def _verifying(size: int, request: Request) -> tuple[Row, Violin, Rates]:
    """The row, the error rates, and how far each key takes speech from where the correct one does."""
    task = verification_task(
        request.data, preset=request.preset, seed=request.seed, say=request.say, block_size=size,
        seconds=_SECONDS, utterances=_UTTERANCES,
    )  # fmt: skip
    plain = 100 * task.measure(task.module, task.inputs)
    drawn = drawn_keys("rom", size, seed=request.seed, purpose="incorrect keys, verifying")
    key = next(drawn)
    encrypted = keyed.encrypt_model(task.module, key, example=task.inputs[:1])
    power = block_power(task.inputs, size)
    rates, distances, apart = [], [], 0.0
    for number, wrong in enumerate(islice(drawn, _KEYS[request.preset]["asv"])):
        outputs = task.outputs(under_wrong_key(encrypted, wrong), task.inputs)
        rates.append(100 * task.figure(outputs))
        distances.append(distance(power, key.matrix() - wrong.matrix()))
        if number < _COMPARED:
            real = task.outputs(encrypted, keyed.encrypt(task.inputs, wrong))
            apart = max(apart, float((real - outputs).abs().max() / real.abs().max()))
    near = float(spearmanr(distances, rates).statistic)
    more = {"folded_key_error": apart, "distance_rank_correlation": near}
    violin = Violin(f"M = {size}", np.array(rates), plain)
    row = _row("asv", "speaker-embedding", task.corpus, size, violin, len(task.inputs), more, request)
    return row, violin, np.array(distances)


def block_power(speech: torch.Tensor, size: int) -> Rates:
    """Mean of xᵀ x over the blocks x (1, M) of ``speech``, divided by the mean of x xᵀ: (M, M)."""
    apart = blocks(speech, size, 1).reshape(-1, size).double()
    power: Rates = (apart.T @ apart / apart.square().sum()).numpy()
    return power


def distance(power: Rates, difference: Rates) -> float:
    """‖x D‖ / ‖x‖ over all blocks x of speech of that :func:`block_power`, for a ``difference`` D of keys (M, M)."""
    return float(np.sqrt(np.trace(difference.T @ power @ difference)))


def groups_by_rate(size: int, rates: Rates, distances: Rates) -> list[Violin]:
    """Distances of the tenth of keys with the lowest error rates, and of that with the highest."""
    order, tenth = np.argsort(rates, kind="stable"), max(2, len(rates) // 10)
    return [
        Violin(f"M = {size} {name}", distances[chosen])
        for name, chosen in (("lowest", order[:tenth]), ("highest", order[-tenth:]))
    ]


def under_wrong_key(encrypted: nn.Module, wrong: keyed.Key) -> nn.Module:
    """A model that does to plain speech what ``encrypted`` does to speech under ``wrong``."""
    folded = copy.deepcopy(encrypted)
    kernel = folded.get_submodule(keyed.find_first_convolution(folded)).get_parameter("weight")
    with torch.no_grad():
        kernel.copy_(keyed.decrypt(kernel.double(), wrong))
    return folded


def _recognising(size: int, recogniser: Recogniser, request: Request) -> tuple[Row, Violin]:
    plain = 100 * recogniser.task.measure(recogniser.module, recogniser.task.inputs)
    drawn = drawn_keys("rom", size, seed=request.seed, purpose="incorrect keys, recognising")
    keys = islice(drawn, _KEYS[request.preset]["asr"])
    violin = Violin(f"M = {size}", np.array([100 * word_error_rate(recogniser, key) for key in keys]), plain)
    corpus, queries = recogniser.corpus, len(recogniser.strings)
    return _row("asr", "patch-ctc", corpus, size, violin, queries, {}, request), violin


def _row(
    name: str,
    model: str,
    corpus: str,
    size: int,
    violin: Violin,
    queries: int,
    more: dict[str, float],
    request: Request,
) -> Row:
    metric = {"asv": "eer", "asr": "wer"}[name]
    rates = violin.rates
    low, middle, high = np.percentile(rates, (5, 50, 95))
    spread = {"least": rates.min(), "p5": low, "median": middle, "p95": high, "most": rates.max()}
    request.say(
        f"{name}, M = {size}: {metric} {rates.mean():.1f} % over {len(rates)} incorrect keys, "
        f"{rates.min():.1f} to {rates.max():.1f} (plain {violin.plain:.1f})"
    )
    return Row(
        paradigm="keyed",
        mode="rom",
        model=model,
        corpus=corpus,
        split="unseen speakers",
        seed=request.seed,
        n_queries=queries,
        parameters={"block_size": size, "keys": len(rates)},
        metrics={
            f"{metric}_plain": violin.plain,
            metric: float(rates.mean()),
            **{f"{metric}_{word}": float(value) for word, value in spread.items()},
            f"{metric}_variance": float(rates.var(ddof=1)),
            **more,
        },
        published={"eer_variance": _VARIANCE[size]} if name == "asv" else {},
    )


def draw(violins: Sequence[Violin], metric: str, path: Path) -> list[Path]:
    """Write the plot as SVG, whole or not at all; returns the path."""
    figure = Figure(figsize=(max(6, 1.6 * len(violins)), 4), layout="constrained")
    axes = figure.subplots()
    places = range(1, len(violins) + 1)
    axes.violinplot([violin.rates for violin in violins], positions=places, showmedians=True, widths=0.8)
    plain = [(place, violin.plain) for place, violin in zip(places, violins, strict=True) if violin.plain is not None]
    if plain:
        axes.plot(*zip(*plain, strict=True), "k*", markersize=11, label="plain model, plain speech")
        axes.legend(frameon=False)
    axes.set_xticks(places, [f"{violin.label}\n{len(violin.rates)} keys" for violin in violins])
    axes.set_ylabel(metric)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", linewidth=0.4)
    return save(figure, path.with_suffix(""), "svg")
