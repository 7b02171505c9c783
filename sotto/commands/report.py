"""``sotto report``: one page out of the results of several runs: networks, corpora, seeds, reproductions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sotto.console import err

if TYPE_CHECKING:
    from sotto.bench.rows.row import Row


def report(
    results: Annotated[
        list[Path],
        typer.Argument(help="results.json files, or folders that hold some.", metavar="RESULTS…"),
    ],
    out_file: Annotated[Path, typer.Option("--out", help="Page to write, or the folder for report.html.")] = Path(
        "report.html"
    ),
    plot: Annotated[
        Path | None,
        typer.Option("--plot", help="Also draw the trade-off: FILE.svg, and FILE-dark.svg for dark pages."),
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option("--markdown", help="Also write the rows as a table in Markdown.")
    ] = None,
) -> None:
    """Put the rows of several results into one page.

    Example:  sotto report results/loopback results/wan --out report.html

    Of rows that measure the same (paradigm, mode, model, corpus, split, seed and setting) the last one given is kept.
    What each party sees comes from scene.json beside the first results that have one.
    """
    from sotto import report as page
    from sotto.bench.rows.results import ResultsError, read, write_whole
    from sotto.report import scene as scenes
    from sotto.report import trade_off
    from sotto.report.figures import identity, notice_of
    from sotto.report.markdown import table
    from sotto.report.papers import reproductions

    files = [file for path in results for file in _results_in(path)]
    rows: dict[str, Row] = {}
    given = 0
    for path in files:
        for row in read(path):
            given += 1
            name = identity(row)
            rows.pop(name, None)
            rows[name] = row
    if not rows:
        raise ResultsError("no-rows", f"{', '.join(map(str, files))}: no row in any of them, run sotto bench first")
    seen = [path.with_name(scenes.SCENE_FILE) for path in files if path.with_name(scenes.SCENE_FILE).is_file()]
    if out_file.is_dir() or not out_file.suffix:
        out_file /= "report.html"
    try:
        out_file.parent.mkdir(parents=True, exist_ok=True)
        page.write(
            list(rows.values()),
            out_file,
            notice_of(rows.values()),
            scene=scenes.merged([scenes.read(path) for path in seen]),
            reproduced=reproductions(out_file.parent),
        )
        if markdown:
            write_whole(markdown, table(list(rows.values())))
        if plot:
            trade_off.draw(list(rows.values()), plot)
            trade_off.draw(list(rows.values()), plot.with_name(f"{plot.stem}-dark.svg"), dark=True)
    except OSError as error:
        raise ResultsError(
            "cannot-write", f"cannot write {out_file} ({error.strerror}): choose another --out"
        ) from None
    replaced = f", {given - len(rows)} replaced by later ones" if given > len(rows) else ""
    err.print(f"{out_file}: {len(rows)} rows of {len(files)} results{replaced}", soft_wrap=True)


def _results_in(path: Path) -> list[Path]:
    """The results of a folder itself or, where it has none, of the folders in it."""
    if not path.is_dir():
        return [path]
    return [path / "results.json"] if (path / "results.json").exists() else sorted(path.rglob("results.json"))
