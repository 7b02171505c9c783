"""Every error has a code, and docs/errors.md lists them; ``python -m tests.test_error_codes`` writes that page."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "errors.md"
PACKAGES = ("link", "audio", "models", "mpc", "he", "hashing", "keyed", "adversarial", "serving", "bench", "sotto")
_MAKES_ERRORS = re.compile(r"\braise\b|Error\b|Refused\b|Exception\b|\bfaults?\b")  # the others need no look
CODE = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
#: What an error is called where the caller says which one it is to be.
ANY = "an error that the caller names"
_HEAD = """# Errors

`str(error)` is one line for people and may be worded better in any release.  `error.code` is for programs: it stays.
Both belong to the class, so that `FrameError` with `too-large` is not `ModelError` with `too-large`.  What crosses a
link is the line alone; at the other end it arrives in a `PeerError` with the code `peer-gave-up`.

    try:
        answer = session.ask(x)
    except sotto.InputRefused as error:
        if error.code == "wrong-shape":
            ...

An error that is passed on under another class keeps its code.  `BadValue`, `BadType` and `WrongState` mean a mistake in
the call itself; they are a `ValueError`, a `TypeError` and a `RuntimeError` too.  This page is
written by `python -m tests.test_error_codes`.

| Error | When | Codes |
| --- | --- | --- |
"""


@cache
def _trees() -> dict[Path, ast.Module]:
    files = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    texts = {path: path.read_text(encoding="utf-8") for path in files}
    return {path: ast.parse(text) for path, text in texts.items() if _MAKES_ERRORS.search(text)}


@cache
def coded_classes() -> dict[tuple[str, str], ast.ClassDef]:
    """Every class below ``Coded``, by its package and name."""
    found = {("link", "Coded"): ast.ClassDef("Coded", [], [], [], [])}
    everything = [
        (path, node) for path, tree in _trees().items() for node in tree.body if isinstance(node, ast.ClassDef)
    ]
    before = 0
    while len(found) > before:
        before = len(found)
        names = {name for _, name in found}
        for path, node in everything:
            if names & {ast.unparse(base).split(".")[-1] for base in node.bases}:
                found.setdefault((_package(path), node.name), node)
    return {key: node for key, node in found.items() if key != ("link", "Coded")}


def _package(path: Path) -> str:
    return path.relative_to(ROOT).parts[0]


@cache
def _imported_from(tree: ast.Module) -> dict[str, str]:
    """The package that each imported name belongs to, or is."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            package = (node.module or "").removeprefix("sotto.").split(".")[0]
            for alias in node.names:
                within = alias.name if node.module == "sotto" and alias.name in PACKAGES else package
                found[alias.asname or alias.name] = within if within in PACKAGES else "sotto"
    return found


def _class_of(function: ast.expr, path: Path, tree: ast.Module) -> str | None:
    """The coded class that a call of ``function`` makes."""
    match function:
        case ast.Name(last):
            first = last
        case ast.Attribute(ast.Name(first), last):
            pass
        case _:
            return None
    package = _imported_from(tree).get(first, _package(path))
    if (package, last) in coded_classes():
        return f"{package}.{last}"
    return ANY if last in ("error", "error_type") else None


@cache
def raised() -> list[tuple[str, str, ast.Call]]:
    """Where an error is made: its class, the place, the call."""
    found = []
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and node.args:
                made = _class_of(node.func, path, tree)
                if made and (made != ANY or isinstance(node.args[0], ast.Constant)):
                    found.append((made, f"{path.relative_to(ROOT)}:{node.lineno}", node))
    return found


def has_code(call: ast.Call) -> bool:
    first = call.args[0]
    return isinstance(first, ast.Constant) and bool(CODE.fullmatch(str(first.value)))


def passes_on(call: ast.Call) -> bool:
    """Whether the code is that of another error."""
    first = ast.unparse(call.args[0])
    return first in ("*error.args", "error.code") or first.startswith("getattr(error, 'code',")


def codes() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for made, _, call in raised():
        if isinstance(call.args[0], ast.Constant):
            found[made].add(call.args[0].value)
    return found


def page() -> str:
    rows = []
    for made, known in sorted(codes().items(), key=lambda each: (each[0].startswith("an "), each[0])):
        package, _, name = made.rpartition(".")
        node = coded_classes().get((package, name))
        when = (ast.get_docstring(node) or "") if node else "A file or a value is refused."
        when = re.sub(r":class:`([^`]*)`", r"`\1`", " ".join(when.split()))
        listed = ", ".join(f"`{code}`" for code in sorted(known))
        called = f"`{name}` of `{package}`" if node else made
        rows.append(f"| {called} | {when.replace('|', '/')} | {listed} |")
    return _HEAD + "\n".join(rows) + "\n"


def test_every_error_has_a_code_of_its_own_or_passes_one_on():
    without = [f"{where}: {made}" for made, where, call in raised() if not (has_code(call) or passes_on(call))]
    assert not without, "write the code first: raise Kind('what-happened', 'the line')"


def test_the_page_lists_them_all():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.test_error_codes"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
