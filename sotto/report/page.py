"""``report.html``: the rows of a run as one page that works from disk, offline, in light and dark.

Nothing on it comes from elsewhere, and what came from data stays data: the template escapes it, the charts are drawn
from a JSON block, and a Content Security Policy lets only the scripts and styles embedded here act, by their hashes.

The charts are SVG that Observable Plot draws with d3; both are in the page, about half a megabyte (``charting.py``).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sotto.bench.rows.matrix import PLAINTEXT, grouped
from sotto.bench.rows.missing_values import missing_values
from sotto.bench.rows.results import write_whole
from sotto.bench.rows.row import Row
from sotto.bench.rows.table import NONE
from sotto.report import charting
from sotto.report.figures import COLUMNS, FEW, VIEWS, priced, records
from sotto.report.papers import Reproduction, verdicts
from sotto.report.scene import Scene
from sotto.report.summary import summary
from sotto.serving import registry

_NETS = ("loopback", "lan", "wan")
_NONE = "'none'"
_ONE_VALUE = {"corpus": "corpora", "net": "nets"}  # columns that say nothing where all rows have the same


def write(
    rows: Sequence[Row],
    path: Path,
    notice: str | None,
    *,
    scene: Scene | None = None,
    reproduced: Sequence[Reproduction] = (),
) -> Path:
    """Write the page to ``path`` (whole or not at all) and return it."""
    judged = verdicts(path.parent) if reproduced else None
    write_whole(path, render(rows, notice, scene=scene, reproduced=reproduced, judged=judged))
    return path


def render(
    rows: Sequence[Row],
    notice: str | None,
    *,
    scene: Scene | None = None,
    reproduced: Sequence[Reproduction] = (),
    judged: str | None = None,
) -> str:
    """The page as one string.  Everything that came from data is escaped.  ``judged`` links to the verdicts."""
    known = (PLAINTEXT, *registry.names())
    groups = grouped(rows)
    listed = records(sorted((row for group in groups for row in group.rows), key=_protection))
    environment = _environment()
    scripts = [*map(asset, charting.LIBRARIES), asset("report.js")]
    style = asset("page.css") + asset("report.css")
    chosen = {
        "paradigms": _in_order((each["paradigm"] for each in listed), known),
        "nets": _in_order((each["net"] for each in listed), _NETS),
        "corpora": _in_order((each["corpus"] for each in listed), ()),
    }
    columns = [(column.key, column.heading, column.meaning) for column in COLUMNS]
    return environment.get_template("report.html").render(
        rows=listed,
        columns=[column for column in COLUMNS if len(chosen.get(_ONE_VALUE.get(column.key, ""), "..")) > 1],
        few=FEW,
        views=VIEWS,
        dash=NONE,
        notice=notice,
        missing_values=missing_values(rows),
        prices=priced(groups),
        summary=summary(rows),
        price_lists=_in_order((row.cost.prices for row in rows if row.cost), ()),
        scene=scene,
        reproduced=reproduced,
        judged=judged,
        machines=_in_order((_machine(row) for row in rows), ()),
        software=rows[0].software if rows else {},
        seeds=_in_order((row.seed for row in rows), ()),
        data=_inert({"rows": listed, "columns": columns, "plot": charting.CLASS_NAME, **chosen}),
        scripts=[markup(script) for script in scripts],
        style=markup(style),
        licences=[asset(name) for name in charting.LICENCES],
        policy=policy(scripts, [style, *charting.STYLES]),
        **chosen,
    )


def _protection(row: Row) -> int:
    """The row without privacy, which others are compared with, then those that hide more."""
    if row.paradigm == PLAINTEXT:
        return 0
    return 1 + ("yes", "partly", "no").index(row.security.hides if row.security else "no")


def asset(name: str) -> str:
    """A file of ``sotto/templates`` as text."""
    return _asset(name)


def policy(scripts: Sequence[str], styles: Sequence[str], *, images: str = "data:") -> str:
    """A Content Security Policy under which only ``scripts`` and ``styles`` act, and ``images`` alone are fetched."""
    return (
        f"default-src 'none'; script-src {_digests(scripts) or _NONE}; style-src {_digests(styles)}; "
        f"img-src {images}; media-src data:; base-uri 'none'; form-action 'none'"
    )


@cache
def _asset(name: str) -> str:
    return (resources.files("sotto") / "templates" / name).read_text(encoding="utf-8")


@cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sotto", "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
        "polygon": _polygon,
        "commas": lambda count: f"{count:,}",
    }
    return environment


def markup(text: str) -> Any:
    """This project's own script, style or escaped JSON, to stand in a page as it is; never data as it came."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  see above


def _inert(value: Any) -> Any:
    """JSON for a ``<script type="application/json">``, in which nothing can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))


def _digests(texts: Sequence[str]) -> str:
    sums = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(each).decode('ascii')}'" for each in sums)


def _polygon(outline: Sequence[tuple[float, float]]) -> str:
    """Points of a waveform in a box of 240 × 60: along the highest, back along the lowest."""
    step = 240 / max(1, len(outline) - 1)
    upper = [(place * step, 30 - 28 * high) for place, (_, high) in enumerate(outline)]
    lower = [(place * step, 30 - 28 * low + 0.6) for place, (low, _) in enumerate(outline)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in [*upper, *reversed(lower)])


def _machine(row: Row) -> str:
    parts = [str(row.machine[name]) for name in ("processor", "system") if row.machine.get(name)]
    if cores := row.machine.get("cores"):
        parts.append(f"{cores} cores")
    return ", ".join(parts)


def _in_order(values: Any, order: Sequence[Any]) -> list[Any]:
    """Distinct values, those of ``order`` first."""
    found = dict.fromkeys(values)
    return [*(value for value in order if value in found), *(value for value in found if value not in order)]
