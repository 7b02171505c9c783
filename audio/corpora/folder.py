"""Finding a corpus on disk: which folder is meant by `--data`, and which audio files are in it."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from sotto.audio.clip import Clip
from sotto.audio.errors import CorpusError, MissingLabel, WrongFolder
from sotto.audio.faults import Faults, require_content

AUDIO_SUFFIXES = {".wav", ".flac"}


def resolve(data: Path | None, title: str, names: tuple[str, ...], others: tuple[str, ...] = ()) -> Path:
    """The folder of one corpus.

    Parameters
    ----------
    data
        that folder, or one that holds several corpora each under its own name. None is refused.
    title
        the corpus, for the error message.
    names
        folder names of the corpus; letter case, "-" and "_" do not matter.
    others
        folder names of other corpora; a folder with some of those but none of `names` is not searched.

    Raises
    ------
    WrongFolder
        nothing was named, it is not a folder, or it holds other corpora.
    """
    if data is None:
        raise WrongFolder(
            "no-folder-named",
            f"name the folder that holds {title} with --data DIR; recordings are not part of this project",
        )
    data = data.expanduser()
    if not data.exists():
        raise WrongFolder("no-such-folder", f"{data}: no such folder (expected {title})")
    if not data.is_dir():
        raise WrongFolder("not-a-folder", f"{data}: is a file; --data takes the folder that holds {title}")
    present = {_plain(entry.name): entry for entry in sorted(data.iterdir()) if entry.is_dir()}
    for name in names:
        if _plain(name) in present:
            return present[_plain(name)]
    strangers = [present[_plain(name)].name for name in others if _plain(name) in present]
    if strangers:
        raise WrongFolder(
            "other-corpus",
            f"{data}: holds {', '.join(strangers)}, but no {title} (expected in a folder {names[0]}): "
            "name another corpus or another folder",
        )
    return data


def _plain(name: str) -> str:
    return re.sub(r"[-_ ]", "", name).lower()


def audio_files(folder: Path) -> list[Path]:
    """Every wav and flac file below `folder`, sorted by path; hidden ones (such as macOS "._" twins) are left out."""
    return sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    )


def nothing_found(folder: Path, title: str, expected: str) -> WrongFolder:
    """The error for a folder without a single file of the corpus."""
    return WrongFolder("nothing-found", f"{folder}: holds no {title} recordings (expected files such as {expected})")


def named_clips(
    paths: Iterable[Path], clip_of: Callable[[Path], Clip | None], faults: Faults, misnamed: str
) -> list[Clip]:
    """The clips that `clip_of` makes of files by their names, without those that are reported.

    `clip_of` gives None for a name that is not the corpus': such files are reported as `misnamed` beside others only.
    """
    clips, strangers = [], []
    for path in paths:
        with faults.reported():
            clip = clip_of(path)
            if clip is None:
                strangers.append(path)
            else:
                require_content(path)
                clips.append(clip)
    for path in strangers if clips else ():
        faults.report(MissingLabel("file-name", f"{path}: {misnamed}"))
    return clips


def require_listed(folder: Path, listed: set[Path], table: Path, faults: Faults) -> None:
    """Report every recording in `folder` that `table` does not list."""
    for path in audio_files(folder):
        if path not in listed:
            faults.report(MissingLabel("not-in-table", f"{path}: is not in {table.name}, so its class is unknown"))


def text_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a text file that are not blank, with their numbers. Raises CorpusError."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError("not-utf8", f"{path}: cannot be read as UTF-8 text ({error})") from None
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def table_rows(
    path: Path, needed: tuple[str, ...], delimiter: str = ",", *, also: tuple[str, ...] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table with a header line, as (line number, column to text); short rows give empty text.

    The columns ``needed`` and ``also`` are found in any letter case.  What stands between columns, commas, semicolons
    or tabs, is what the header has most of, ``delimiter`` where that does not tell.

    Raises
    ------
    CorpusError
        the file cannot be read, is not UTF-8 text, lacks one of the columns `needed`, or has a column twice.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max((delimiter, ",", ";", "\t"), key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, restval="")
            names = _as_known([name.strip() for name in reader.fieldnames or ()], (*needed, *also))
            reader.fieldnames = names
            missing = [name for name in needed if name not in names]
            if missing:
                raise CorpusError(
                    "no-column",
                    f"{path}: has no column {missing[0]} (needs {', '.join(needed)}; it has {', '.join(names)[:200]})",
                )
            if twice := [name for name in names if name and names.count(name) > 1]:
                raise CorpusError("column-twice", f"{path}: has two columns {twice[0]}: rename one")
            for row in reader:
                yield reader.line_num, {name: (value or "").strip() for name, value in row.items() if name}
    except OSError as error:
        raise CorpusError("cannot-read", f"{path}: cannot be read ({error.strerror or error})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CorpusError("not-utf8", f"{path}: is not a table of UTF-8 text ({error})") from None


def _as_known(columns: list[str], known: Iterable[str]) -> list[str]:
    """``columns`` with those of the ``known`` names that are written in another letter case written as known."""
    by_lower = {name.lower(): name for name in known}
    return [by_lower.get(name.lower(), name) for name in columns]
