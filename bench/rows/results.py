"""Writing and reading results: ``results.json``, checked against its schema, and a CSV beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from sotto.bench.rows.row import Row
from sotto.link import Coded
from sotto.link.storage import write_whole

SCHEMA_FILE = "results.schema.json"


class ResultsError(Coded, ValueError):
    """A results file, or rows about to be written, do not follow the schema."""


@cache
def stored_schema() -> dict[str, Any]:
    """The JSON Schema that ships with the package."""
    return json.loads((resources.files("sotto.bench.rows") / SCHEMA_FILE).read_text())


def to_json(rows: Sequence[Row]) -> str:
    """Rows as indented JSON.  Raises :class:`ResultsError` when they break the schema (NaN does)."""
    plain = msgspec.to_builtins(list(rows))
    _check(plain, "the rows")
    return json.dumps(plain, indent=1, allow_nan=False) + "\n"


def require_writable(folder: Path) -> None:
    """Make ``folder`` and try to write in it.  Raises :class:`ResultsError` before hours of work would be lost."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / ".writable", "")
        (folder / ".writable").unlink()
    except OSError as error:
        raise ResultsError(
            "cannot-write", f"cannot write results into {folder} ({error.strerror}): choose another --out"
        ) from None


def write(rows: Sequence[Row], folder: Path) -> tuple[Path, Path]:
    """Write ``results.json`` and ``results.csv`` into ``folder``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / "results.json", folder / "results.csv"
    for path, text in zip(paths, (to_json(rows), to_csv(rows)), strict=True):
        write_whole(path, text)
    return paths


def read(path: Path) -> list[Row]:
    """The rows of a results file.  Raises :class:`ResultsError` for anything else."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ResultsError("no-file", f"there is no {path}: name results.json, or the folder that holds it") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ResultsError(
            "not-results", f"{path} is not a results file ({type(error).__name__}): run sotto bench again"
        ) from None
    _require_this_version(plain, path)
    _check(plain, str(path))
    return msgspec.convert(plain, list[Row])


def _require_this_version(plain: Any, path: Path) -> None:
    """Rows of an earlier version are whole but for fields of today, which nothing here may make up.

    They say with which software they were measured, and nothing in them breaks the schema but what is not there.
    """
    if not isinstance(plain, list) or not all(isinstance(row, dict) and row.get("software") for row in plain):
        return
    known = {field.encode_name for field in msgspec.structs.fields(Row)}
    missing = sorted({name for row in plain for name in known - row.keys()})
    breaches = jsonschema.Draft202012Validator(stored_schema()).iter_errors(plain)
    if missing and all(breach.validator == "required" and len(breach.path) == 1 for breach in breaches):
        raise ResultsError(
            "older-results", f"{path} is of an earlier version, without {', '.join(missing)}: run sotto bench again"
        )


def to_csv(rows: Sequence[Row]) -> str:
    """One line a row, nested fields as ``outer.inner`` columns, missing values empty."""
    flat = [_with_clips(_flatten(msgspec.to_builtins(row))) for row in rows]
    columns = list(dict.fromkeys(column for line in flat for column in line))
    return csv_text(columns, ([line.get(column) for column in columns] for line in flat))


def _with_clips(line: dict[str, Any]) -> dict[str, Any]:
    """The accuracies side by side under names that say of which clips they are."""
    named: dict[str, Any] = {}
    for column, value in line.items():
        if column == "accuracy_plain":
            named["accuracy_plain.all_test_clips"] = value
            named["accuracy_plain.asked_clips"] = line.get("metrics.accuracy_plain_on_asked")
        elif column == "accuracy_private":
            named["accuracy_private.asked_clips"] = value
        elif column != "metrics.accuracy_plain_on_asked":
            named[column] = value
    return named


def csv_text(columns: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    """``lines`` under the names of their ``columns``, as CSV; None is empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(lines)
    return out.getvalue()


def write_csv(path: Path, columns: Sequence[str], lines: Iterable[Sequence[object]]) -> None:
    """Write :func:`csv_text`, whole or not at all; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, csv_text(columns, lines))


def _flatten(value: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, inner in value.items():
        if isinstance(inner, dict):
            flat.update(_flatten(inner, f"{prefix}{key}."))
        else:
            flat[prefix + key] = inner
    return flat


def _check(plain: Any, what: str) -> None:
    try:
        json.dumps(plain, allow_nan=False)
        jsonschema.validate(plain, stored_schema())
    except jsonschema.ValidationError as error:
        raise ResultsError(
            "bad-schema", f"{what} do not follow the result schema at {error.json_path}: {error.message}"
        ) from None
    except ValueError:
        raise ResultsError("not-finite", f"{what} hold NaN or infinity, which no figure may be") from None
