"""``sotto bench``: every paradigm on one corpus and split, in one table."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from sotto.commands.options import (
    ActivationError,
    CorpusName,
    Data,
    FeaturesAt,
    Json,
    Out,
    Output,
    ParadigmNames,
    PresetName,
    Seed,
    SkipBroken,
    networks,
    one_of,
    require_corpus,
)
from sotto.console import err, escape, out, say
from sotto.serving import registry

if TYPE_CHECKING:
    from sotto.audio.features import FeatureSpec
    from sotto.bench.attackers import Attacked
    from sotto.bench.experiment import Experiment
    from sotto.bench.own_models.network import Kind
    from sotto.bench.rows.row import Row
    from sotto.bench.suite import Failure, LeftOut
    from sotto.bench.workbench import Workbench
    from sotto.report.scene import Scene
    from sotto.serving.adapters import LoweringOptions

Nets = Annotated[
    list[str] | None,
    typer.Option(
        "--net",
        help="Network between the parties: loopback, lan (1 ms, 1 Gbit/s), wan (40 ms, 100 Mbit/s); may be given "
        "several times.",
        callback=one_of(networks, "a network"),
        show_default="loopback",
    ),
]
Peers = Annotated[
    bool,
    typer.Option(
        "--peers",
        help="Add rows of other systems for mpc and he, on the same clips and models, where they are installed.",
    ),
]
PriceFile = Annotated[
    Path | None,
    typer.Option(
        "--prices",
        help="Prices in a TOML file, for what a million queries cost: a copy of bench/rows/prices.toml with your own.",
        show_default="those that ship with Sotto",
    ),
]
OwnModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        help="A network of your own, FILE.py:NAME, in every paradigm that can run it (full: in every mode).",
        show_default=False,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option("--weights", help="Its state_dict in a safetensors file.", show_default="it is trained here"),
]
Features = Annotated[
    str | None,
    typer.Option("--features", help="What it takes: mfcc, egemaps, waveform:seconds=2,block=10 …", show_default=False),
]
Normalised = Annotated[
    str,
    typer.Option(
        "--normalisation",
        help="Of the features, by the training speakers: standard, range ([-1, 1]) or none.",
        callback=one_of(("standard", "range", "none"), "a normalisation"),
    ),
]
ShowScene = Annotated[
    bool,
    typer.Option(
        "--scene/--no-scene",
        help="Show in the report what each party saw of one test clip, in one setting of each paradigm (full: in all); "
        "the clip's sound is then in the page.",
    ),
]


def bench(
    corpus: CorpusName = "synthetic",
    data: Data = None,
    paradigm: ParadigmNames = None,
    preset: PresetName = "quick",
    net: Nets = None,
    peers: Peers = False,
    price_file: PriceFile = None,
    model: OwnModel = None,
    weights: Weights = None,
    features: Features = None,
    features_at: FeaturesAt = "alice",
    normalisation: Normalised = "standard",
    activation_error: ActivationError = None,
    output: Output = None,
    label: Annotated[str, typer.Option("--label", help="What to classify.")] = "emotion",
    scene: ShowScene = True,
    seed: Seed = 0,
    out_folder: Out = Path("results"),
    skip_broken: SkipBroken = False,
    json: Json = False,
) -> None:
    """Compare the paradigms on one corpus: answers, cost, leakage and attacks side by side.

    Example:  sotto bench --corpus ravdess --data ~/corpora/ravdess --paradigm mpc --paradigm he

    Writes results.json, results.csv and report.html into the output folder, and scene.json: what each party saw of one
    test clip.

    With --model it compares a network of your own instead, and says for each paradigm that cannot run it why not:
    sotto bench --model net.py:Net --weights net.safetensors --corpus my.csv --features mfcc

    With --features-at circuit Alice gives samples and nothing else: what Bob evaluates computes the features.
    """
    require_corpus(corpus, data, label)
    _require_files(model, weights)
    from sotto.bench.rows import prices, results

    results.require_writable(out_folder)
    from sotto.bench.attackers import Attacked
    from sotto.bench.own_model import NotRunnable
    from sotto.bench.rows.row import Row
    from sotto.bench.rows.table import footnotes, tables
    from sotto.bench.suite import Failure, LeftOut, open_workbench, require
    from sotto.progress import Rows
    from sotto.serving.service.processes import warm_up

    started = time.monotonic()
    price_list = prices.read(price_file)
    warm_up(("torch",))  # for the first Bob, while this process imports it for itself
    if paradigm:
        require(paradigm)
    nets = list(dict.fromkeys(net or ["loopback"]))
    spec = _feature(model, features, weights)
    options = _lowering(model, weights, activation_error, output, features_at)
    if peers and features_at == "circuit":
        raise typer.BadParameter("other systems are asked about features: leave one out", param_hint="--peers")
    bench = open_workbench(
        corpus, data, preset=preset, seed=seed, say=say, skip_broken=skip_broken, label=label, brief=preset == "quick"
    )
    made = _Made(out_folder, bench, with_scene=scene and not model)
    failures: list[Failure] = []
    outcomes = (
        _own(model, bench, spec, weights, cast("Kind", normalisation), paradigm, nets, options)
        if model and spec
        else _outcomes(bench, paradigm, nets, made, with_peers=peers, features_at=features_at)
    )
    try:
        with Rows(_weights(bench, model, paradigm, nets, features_at, with_peers=peers and not model)) as progress:
            for outcome in outcomes:
                if isinstance(outcome, Failure):
                    failures.append(outcome)
                elif isinstance(outcome, LeftOut):
                    made.left_out.append(outcome)
                elif isinstance(outcome, Attacked):
                    made.attacked([price_list.applied(row) for row in outcome.rows])
                    progress.attacked(outcome.rows[0])
                    continue
                else:
                    made.add(price_list.applied(outcome))
                progress.add(outcome if isinstance(outcome, Row) else None)
    finally:
        if made.rows:
            made.write_page()  # an interrupted run leaves one of the rows it has
    if json:
        sys.stdout.write(results.to_json(made.rows))
    elif made.rows:
        for table in tables(made.rows, f"{bench.corpus.name}, split {bench.split.name}, {preset}, {', '.join(nets)}"):
            out.print(table)
        for line in footnotes(made.rows, made.notice):
            out.print(escape(line))
    err.print(
        f"{len(made.rows)} rows in {time.monotonic() - started:.0f} s: {', '.join(map(str, made.written))}",
        soft_wrap=True,
    )
    if failures:
        raise failures[0].error
    if not made.rows:
        raise NotRunnable("nothing-runs", made.notice or "no paradigm was named")


def _weights(
    bench: Workbench,
    model: str | None,
    paradigm: list[str] | None,
    nets: list[str],
    features_at: str,
    *,
    with_peers: bool,
) -> list[float]:
    """The rows to expect, each with about how long it takes, relative to the others."""
    from sotto.bench.suite import cells, weights

    chosen = paradigm or registry.names()
    if model:
        return [1.0] * len(nets) * len(chosen)
    own = [weight for weight in weights(cells(chosen, bench.preset, features_at)) for _ in nets]
    if not with_peers:
        return own
    from sotto.bench.peers.comparison import expected

    return own + [1.0] * expected(chosen, bench.preset, len(nets))


def _require_files(model: str | None, weights: Path | None) -> None:
    """Refuse a network or weights that are not there, before anything is loaded."""
    path, _, name = (model or "").rpartition(":")
    if model is not None and (not name.isidentifier() or not path.endswith(".py") or not Path(path).is_file()):
        raise typer.BadParameter(f"{model} is no FILE.py:NAME of a file that exists", param_hint="--model")
    if weights is not None and not weights.is_file():
        raise typer.BadParameter(f"there is no file {weights}", param_hint="--weights")


def _feature(model: str | None, features: str | None, weights: Path | None) -> FeatureSpec | None:
    """The feature of one's own network.  Raises ``typer.BadParameter`` for options that do not go together."""
    if model is None:
        if features or weights:
            raise typer.BadParameter(
                "belongs to a network of one's own: give --model", param_hint="--features, --weights"
            )
        return None
    if features is None:
        raise typer.BadParameter("say what the network takes, such as --features mfcc", param_hint="--features")
    from sotto.audio.features import from_text

    try:
        return from_text(features)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--features") from None


def _lowering(
    model: str | None, weights: Path | None, activation_error: float | None, output: str | None, features_at: str
) -> LoweringOptions:
    """How `mpc` makes one's own network ready.  Raises ``typer.BadParameter`` where there is none to make ready."""
    from sotto.serving.adapters import LoweringOptions

    if model is None and (activation_error is not None or output is not None):
        raise typer.BadParameter(
            "belongs to a network of one's own: give --model", param_hint="--activation-error, --output"
        )
    if output is not None and weights is None:
        raise typer.BadParameter(
            "a network of several results is not trained here: give its --weights", param_hint="--output"
        )
    return LoweringOptions(activation_error, output, features_at=cast(Literal["alice", "circuit"], features_at))


def _own(
    model: str,
    bench: Workbench,
    spec: FeatureSpec,
    weights: Path | None,
    normalisation: Kind,
    paradigm: list[str] | None,
    nets: list[str],
    options: LoweringOptions,
) -> Iterator[Row | Attacked | Failure | LeftOut]:
    from sotto.bench.own_model import Given, adapter
    from sotto.bench.own_models.comparison import compare_own
    from sotto.bench.own_models.network import own_network
    from sotto.bench.suite import LeftOut

    at_circuit = options.features_at == "circuit"
    own = own_network(model, bench, spec, weights=weights, normalisation=normalisation, at_circuit=at_circuit)
    chosen = list(paradigm or registry.names())
    if not bench.quick:
        chosen = [f"{name}/{mode}" for name in chosen for mode in adapter(name).MODES]
    for outcome in compare_own(
        own.module,
        own.name,
        own.examples,
        chosen,
        lambda folder, mode: Given(
            folder,
            mode,
            own.shape,
            calibration=own.calibration,
            lowering=options.behind_analysis(),
            input_limit=1.0 if at_circuit else None,
        ),
        nets=nets,
        singles=20 if bench.quick else 50,
        most=96 if bench.quick else 10**6,
        say=say,
    ):
        if isinstance(outcome, LeftOut):
            say(f"left out: {outcome}")
        yield outcome


def _outcomes(
    bench: Workbench,
    paradigm: list[str] | None,
    nets: list[str],
    made: _Made,
    *,
    with_peers: bool,
    features_at: str,
) -> Iterator[Row | Attacked | LeftOut | Failure]:
    from sotto.bench.suite import compare, usable

    chosen = paradigm or usable(registry.names(), say)
    show = made.show if made.with_scene else None
    if not with_peers:
        yield from compare(bench, chosen, nets, features_at=features_at, show=show)
        return
    from sotto.bench.peers.comparison import compare_peers, own_cells

    yield from compare(bench, chosen, nets, further=own_cells(chosen, bench.preset), show=show)
    yield from compare_peers(bench, chosen, nets)


def _name(row: Row) -> tuple[str, ...]:
    """What no other row of a run has."""
    return row.paradigm, row.mode, row.model, str(row.parameters)


@dataclass
class _Made:
    """What a run has so far: the rows written after each of them, the page at the end, an interrupted run's too."""

    folder: Path
    bench: Workbench
    with_scene: bool
    rows: list[Row] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    shown: set[str] = field(default_factory=set)
    scene: Scene | None = None

    @property
    def notice(self) -> str | None:
        """What belongs beside the rows: the corpus' notice, and which paradigms could not run one's own network."""
        return (
            "; ".join(filter(None, [self.bench.corpus.notice, *(f"left out: {each}" for each in self.left_out)]))
            or None
        )

    def add(self, row: Row) -> None:
        from sotto.bench.rows import results

        self.rows.append(row)
        results.write(self.rows, self.folder)

    def attacked(self, rows: list[Row]) -> None:
        """Rows again that were added before, now with what attackers reached."""
        from sotto.bench.rows import results

        again = {_name(row): row for row in rows}
        self.rows = [again.get(_name(row), row) for row in self.rows]
        results.write(self.rows, self.folder)

    def show(self, experiment: Experiment) -> None:
        """Ask about one clip and keep what each party saw; a quick run does in the first setting of a paradigm."""
        if self.bench.quick and experiment.cell.paradigm in self.shown:
            return
        self.shown.add(experiment.cell.paradigm)
        from sotto.bench.one_clip.simulation import simulate
        from sotto.report.scene import with_panel
        from sotto.report.seen import asked_clip, empty_scene, panel

        clip = self.bench.corpus[self.bench.split.test[0]]
        asked = asked_clip(experiment, clip)
        say(f"{experiment.cell}: what each party sees of {asked.id}")
        self.scene = with_panel(
            self.scene or empty_scene(self.bench, clip),
            panel(experiment, simulate(experiment, asked, "loopback"), self.bench, asked, attacked=True),
        )

    def write_page(self) -> None:
        from sotto import report
        from sotto.bench.rows import results
        from sotto.report import scene
        from sotto.report.papers import reproductions

        page = report.write(
            self.rows,
            self.folder / "report.html",
            self.notice,
            scene=self.scene,
            reproduced=reproductions(self.folder),
        )
        self.written = [*results.write(self.rows, self.folder), page]
        if self.scene:
            self.written.append(self.folder / scene.SCENE_FILE)
            results.write_whole(self.written[-1], scene.to_json(self.scene))
