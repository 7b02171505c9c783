"""The papers that are reproduced, and links to what ``sotto reproduce`` has left beside the report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

_BITTNER = "Bittner, De Cock, Dowsley: Private speech classification with secure multiparty computation"
_DIAS = (
    "Dias, Abad, Trancoso: Exploring hashing and cryptonet based approaches for privacy-preserving speech emotion "
    "recognition"
)
_NIWA = (
    "Niwa, Shiota, Kiya: A privacy-preserving method using secret key for convolutional neural network-based speech "
    "classification"
)
_LUONG = (
    "Luong, Tran, Gharib, Drossos, Virtanen: Representation learning for audio privacy preservation using source "
    "separation and robust adversarial learning"
)
#: By the beginning of a target's name: whose paper it is.
_PAPERS: Mapping[str, str] = {
    "bittner": _BITTNER,
    "dias": _DIAS,
    "smh": _DIAS,
    "kiya": _NIWA,
    "keyed": _NIWA,
    "niwa": _NIWA,
    "luong": _LUONG,
    "rdal": _LUONG,
}
OWN = "Sotto's own figures"
_ALL = "reproduction"  # the folder of ``sotto reproduce all``
_SHOWN = (".svg", ".png", ".html", ".csv", ".json")


@dataclass(frozen=True)
class Reproduction:
    """A table or figure: of which paper, what it shows, and the files found of it (name, link)."""

    target: str
    paper: str
    description: str
    files: tuple[tuple[str, str], ...]


def reproductions(folder: Path) -> list[Reproduction]:
    """Every target of ``sotto reproduce``, with links, relative to ``folder``, to what it left there."""
    from sotto.bench.reproduction.targets import TARGETS

    found = []
    for target, known in TARGETS.items():
        paper = next((title for start, title in _PAPERS.items() if target.startswith(start)), OWN)
        found.append(Reproduction(target, paper, known.DESCRIPTION, tuple(_files(folder, target))))
    return sorted(found, key=lambda each: (each.paper == OWN, each.paper))


def verdicts(folder: Path) -> str | None:
    """A link, relative to ``folder``, to the page of ``sotto reproduce all`` in it or beside it; None without one."""
    for link in (f"{_ALL}/{_ALL}.html", f"{_ALL}.html"):
        if (folder / link).is_file():
            return link
    return None


def report_of(folder: Path) -> str | None:
    """The other way: a link from the page of ``sotto reproduce all`` in ``folder`` to the report; None without one."""
    beside = ["report.html", "../report.html"] if folder.resolve().name == _ALL else ["report.html"]
    return next((link for link in beside if (folder / link).is_file()), None)


def _files(folder: Path, target: str) -> Iterator[tuple[str, str]]:
    """Of a single ``sotto reproduce``, else of ``sotto reproduce all``."""
    for where in (target, f"{_ALL}/{target}"):
        here = folder / where
        if not here.is_dir():
            continue
        for path in sorted(here.iterdir(), key=lambda path: _SHOWN.index(path.suffix) if path.suffix in _SHOWN else 9):
            if path.is_file() and path.suffix in _SHOWN and not path.name.startswith("."):
                yield path.name, f"{quote(where)}/{quote(path.name)}"
        return
