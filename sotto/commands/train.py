"""``sotto train``: one of the plaintext models on a corpus, to a model file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from sotto.commands.options import CorpusName, Data, Json, Seed, SkipBroken, one_of, require_corpus
from sotto.console import escape, out, say, write_json


def _recipes() -> Mapping[str, object]:
    from sotto.models.learning.recipes import RECIPES

    return RECIPES


def train(
    model: Annotated[
        str, typer.Argument(callback=one_of(_recipes, "a model"), help="Which one; a wrong name lists them.")
    ],
    corpus: CorpusName = "synthetic",
    data: Data = None,
    seed: Seed = 0,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Model file to write.", show_default="MODEL.safetensors")
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What to classify.")] = "emotion",
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Train a model on the training speakers of a corpus and score it on the test speakers.

    Example:  sotto train frames --corpus ravdess --data ~/corpora/ravdess
    """
    require_corpus(corpus, data, label)
    from sotto.bench.suite import open_workbench
    from sotto.models import save
    from sotto.models.learning.fitting import fit
    from sotto.models.learning.recipes import RECIPES

    bench = open_workbench(corpus, data, preset="full", seed=seed, say=say, skip_broken=skip_broken, label=label)
    module, record = fit(bench.corpus, bench.split, RECIPES[model], label=label, seed=seed)
    path = out_file or Path(f"{model}.safetensors")
    save(path, module, record)
    if json:
        summary = {"model": str(path), "corpus": record.corpus, "split": record.split, "scores": record.scores}
        write_json(summary)
        return
    out.print(f"{path}: {model} on {bench.corpus.name}, split {record.split}, classes {', '.join(record.classes)}")
    for name, score in record.scores.items():
        out.print(f"  {name.replace('_', ' ')}: {score:.4g}")
    if bench.corpus.notice:
        out.print(escape(bench.corpus.notice))
