"""The documentation runs: every block of Python in a process of its own, every command line as far as its usage."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from sotto.cli import app
from tests.scripts import Script

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
_PYTHON = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LANGUAGE = re.compile(r"^```(\S*)$", re.MULTILINE)
_COMMAND = re.compile(r"^ {4}(?:\.venv/bin/)?(sotto .*)$|`(sotto [^`]+)`", re.MULTILINE)


def _name(page):
    return str(page.relative_to(ROOT))


def blocks():
    for page in PAGES:
        for number, block in enumerate(_PYTHON.findall(page.read_text(encoding="utf-8"))):
            yield pytest.param(block, id=f"{_name(page)}-{number}")


def commands():
    for page in PAGES:
        text = _FENCED.sub("", page.read_text(encoding="utf-8")).replace("\\\n", " ")
        found = {" ".join((indented or quoted).split()) for indented, quoted in _COMMAND.findall(text)}
        for line in sorted(found):
            yield pytest.param(line, id=f"{_name(page)}: {line[:70]}")


@pytest.mark.parametrize("block", list(blocks()))
def test_python_runs(block, tmp_path):
    (tmp_path / "block.py").write_text(block, encoding="utf-8")
    script = Script("block.py", folder=tmp_path)
    try:
        _, said = script.communicate(timeout=240)
        assert script.returncode == 0, said[-2000:]
    finally:
        script.kill()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_there_is_no_block_that_is_not_run(page):
    """Python is run, shell commands are indented and parsed; TOML and the like are configuration, shown as such."""
    assert set(_LANGUAGE.findall(page.read_text(encoding="utf-8"))) <= {"", "python", "toml", "ini", "text", "json"}


@pytest.mark.parametrize("line", list(commands()))
def test_a_command_line_is_one_the_program_understands(line):
    arguments = shlex.split(line.split("  #")[0].split(" # ")[0].split(";")[0], comments=False)[1:]
    if any(mark in line for mark in ("…", "[", "|", "{")):  # a synopsis: the command itself must exist
        arguments = arguments[:1]
    try:
        parse(typer.main.get_command(app), arguments)
    except Exception as error:  # Typer's own errors, which it does not export
        placeholder = any(each.isupper() or each.endswith(".toml") for each in arguments)  # MODEL stands for a name
        if type(error).__name__ != "MissingParameter" and not (placeholder and type(error).__name__ == "BadParameter"):
            raise


def parse(command, arguments, name="sotto"):
    """Go down to the last sub-command and let it read its options, without running anything."""
    arguments = [each for each in arguments if each != "--debug"]
    context = command.make_context(name, list(arguments)) if arguments else None
    while context is not None and hasattr(command, "resolve_command"):
        rest = [*context._protected_args, *context.args]
        name, command, rest = command.resolve_command(context, rest)
        if not rest:
            return  # named without arguments, in a sentence
        context = command.make_context(name, rest, parent=context)
