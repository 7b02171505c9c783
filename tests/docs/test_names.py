"""What the documentation and the docstrings name exists: modules, functions, files, commands, options, variables.

Names are looked up in the source (:mod:`ast`), so that nothing is imported for it: a module has what it assigns,
defines or imports, a class what it or a base of ours assigns, defines, or sets on ``self``.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib.util
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import typer

from sotto.cli import app
from tests.docs.test_examples import PAGES, ROOT

PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests")
_ROLE = re.compile(r":(mod|func|class|meth|data|attr|exc|const):`~?([^`]+)`")
_QUOTED = re.compile(r"``([^`]+)``|(?<!`)`([^`\n]+)`(?!`)")
_DOTTED = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_COMMAND = re.compile(r"(?:^ *|['`(]|Example:  )sotto ((?:[a-z][a-z-]*)(?: [A-Za-z0-9-]+)?)", re.MULTILINE)
_COMMAND_IN_MESSAGE = re.compile(r"['`]sotto ((?:[a-z][a-z-]*)(?: [A-Za-z0-9-]+)?)")
_PIPS = {"--no-deps"}
_PRESCRIBED = {"attacks.py"}  # what a new paradigm's file may be called
_VARIABLE = re.compile(r"\bSOTTO_[A-Z_]*[A-Z]\b")


@dataclass
class Scope:
    """What a module or a class names.  A value is another scope, the dotted name that it is imported from, or None."""

    names: dict[str, Scope | str | None] = field(default_factory=dict)
    bases: list[str] = field(default_factory=list)
    module: str = ""


@dataclass
class Source:
    path: Path
    module: str
    tree: ast.Module


@functools.cache
def sources():
    """Every module of ours by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if parts[0] == "sotto" else ("sotto", *parts)
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            if (stub := path.with_suffix(".pyi")).is_file():
                tree.body += _absolute(ast.parse(stub.read_text(encoding="utf-8")), module)
            found[module] = Source(path, module, tree)
    return found


def _absolute(stub, package):
    """The statements of a package's stub, which names what it imports when that is first used."""
    for node in stub.body:
        if isinstance(node, ast.ImportFrom) and node.level:
            node.module, node.level = f"{package}.{node.module}", 0
    return stub.body


@functools.cache
def scopes():
    return {module: _scope(source.tree.body, module) for module, source in sources().items()}


def _scope(body, module):
    scope = Scope(module=module)
    for node in body:
        for inner in ast.walk(node) if isinstance(node, (ast.If, ast.Try, ast.With, ast.For)) else [node]:
            _add(scope, inner, module)
    return scope


def _add(scope, node, module):
    if isinstance(node, ast.ClassDef):
        inner = _scope(node.body, module)
        inner.bases = [ast.unparse(base).split("[")[0] for base in node.bases]
        for part in ast.walk(node):
            if (
                isinstance(part, ast.Attribute)
                and isinstance(part.ctx, ast.Store)
                and ast.unparse(part.value) == "self"
            ):
                inner.names.setdefault(part.attr, None)
        scope.names[node.name] = inner
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        scope.names[node.name] = None
    elif isinstance(node, ast.ImportFrom):
        scope.names |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    elif isinstance(node, ast.Import):
        scope.names |= {each.asname or each.name.split(".")[0]: each.name for each in node.names}
    elif isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        stored = [part for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]
        scope.names |= {part.id: None for part in stored}


def exists(dotted):
    """Whether a dotted name that begins with a package of ours is there; what is not ours is taken at its word."""
    parts = dotted.split(".")
    if parts[0] not in PACKAGES:
        return True
    if parts[0] != "sotto":
        parts = ["sotto", *parts]  # as after ``from sotto import mpc``
    for count in range(len(parts), 0, -1):
        if (module := ".".join(parts[:count])) in scopes():
            return _reaches(scopes()[module], parts[count:])
    return ".".join(parts) in {".".join(name.split(".")[: len(parts)]) for name in scopes()}  # a folder of modules


def _reaches(scope, parts):
    if not parts:
        return True
    if parts[0] not in scope.names:
        return any(_reaches_base(base, scope.module, parts) for base in scope.bases)
    value = scope.names[parts[0]]
    if isinstance(value, str):
        return exists(".".join([value, *parts[1:]]))
    return value is None or _reaches(value, parts[1:])


def _reaches_base(base, module, parts):
    """A base that is not ours may have anything, but for ``object`` and the like."""
    first, *rest = base.split(".")
    inner = scopes()[module].names.get(first)
    if isinstance(inner, str) and inner.split(".")[0] in PACKAGES:
        return exists(".".join([inner, *rest, *parts]))
    return (
        _reaches(inner, parts) if isinstance(inner, Scope) else inner is not None and first not in ("ABC", "Protocol")
    )


@functools.cache
def docstrings():
    """(module, the classes around it, docstring) of everything of ours."""
    return [(module, *found) for module, source in sources().items() for found in _docstrings(source.tree, ())]


def _docstrings(node, classes):
    documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
    if documented and (text := ast.get_docstring(node)) is not None:
        yield classes, text
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.stmt):
            yield from _docstrings(inner, (*classes, inner.name) if isinstance(inner, ast.ClassDef) else classes)


def known_here(name, module, classes):
    """Whether a docstring may call something ``name``: its class, its module, then anything that can be imported."""
    parts = name.removesuffix("()").split(".")
    scope = scopes()[module]
    around = [scope]
    for each in classes:
        inner = around[-1].names.get(each)
        around += [inner] if isinstance(inner, Scope) else []
    if any(_reaches(each, parts) for each in reversed(around)):
        return True
    if parts[0] in PACKAGES:
        return exists(".".join(parts))
    return hasattr(builtins, parts[0]) or (len(parts) > 1 and importlib.util.find_spec(parts[0]) is not None)


def quoted(text):
    return [double or single for double, single in _QUOTED.findall(_FENCED.sub("", text))]


@functools.cache
def strings():
    """Every text in the code that is no docstring: what messages, settings and variables are called."""
    found = set()
    for source in [*sources().values()]:
        found |= {
            node.value
            for node in ast.walk(source.tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        }
    return found


@functools.cache
def commands():
    """Every command of ``sotto`` by its words."""
    found, todo = {}, [("", typer.main.get_command(app))]
    while todo:
        name, command = todo.pop()
        found[name] = command
        if hasattr(command, "list_commands"):
            context = command.make_context(name or "sotto", ["--help"], resilient_parsing=True)
            todo += [
                (f"{name} {each}".strip(), command.get_command(context, each))
                for each in command.list_commands(context)
            ]
    return found


@functools.cache
def options():
    return {
        option
        for command in commands().values()
        for parameter in command.params
        for option in (*parameter.opts, *parameter.secondary_opts, "--help")
    }


@functools.cache
def texts():
    """(where, text) of all that is written for people."""
    pages = [(str(page.relative_to(ROOT)), page.read_text(encoding="utf-8")) for page in PAGES]
    return [*pages, *((".".join([module, *classes]), text) for module, classes, text in docstrings())]


def test_what_roles_in_docstrings_refer_to_exists():
    missing = {
        f"{'.'.join([module, *classes])}: :{kind}:`{name}`"
        for module, classes, text in docstrings()
        for kind, name in _ROLE.findall(text)
        if not known_here(name, module, classes)
    }
    assert not missing


def test_dotted_names_of_ours_exist():
    """But for names of messages, whose parts are joined by a dot too."""
    missing = set()
    for where, text in texts():
        for token in quoted(_ROLE.sub("", text)):
            name = token.split("(")[0].strip()
            if _DOTTED.fullmatch(name) and not _is_file(name) and name not in strings() and not exists(name):
                missing.add(f"{where}: {name}")
    assert not missing


def _is_file(name):
    return name.rpartition(".")[2] in ("py", "md", "toml", "json", "csv", "html", "svg", "npz", "safetensors", "txt")


def test_files_of_the_repository_exist():
    everywhere = {
        path.name for package in [*PACKAGES, "tests", "examples", "docs"] for path in (ROOT / package).rglob("*.*")
    }
    everywhere |= {path.name for path in ROOT.glob("*")}
    modes = {text for text in strings() if re.fullmatch(r"[a-z-]+", text)}
    missing = set()
    for where, text in texts():
        for token in quoted(_ROLE.sub("", text)):
            path = token.strip().split("::")[0]
            if not re.fullmatch(r"[\w.*/-]+", path) or path.startswith(("/", ".")):
                continue
            first, slash, rest = path.partition("/")
            if "audio.corpora." in where:  # those are a corpus's own files
                continue
            if slash and first in (*PACKAGES, "tests", "docs", "examples"):
                cell = first in PACKAGES and rest in modes  # `mpc/malicious` is a paradigm and a mode
                if not cell and not any(ROOT.glob(path.rstrip("/"))):
                    missing.add(f"{where}: {path}")
            elif not slash and path.endswith(".py") and path not in everywhere | _PRESCRIBED:
                missing.add(f"{where}: {path}")
    assert not missing


def test_commands_exist():
    """In the documentation, in docstrings, and in what the program says."""
    known, missing = commands(), set()
    written = [(where, words) for where, text in texts() for words in _COMMAND.findall(text)]
    said = [("a message", words) for text in strings() for words in _COMMAND_IN_MESSAGE.findall(text)]
    for where, words in [*written, *said]:
        first, _, second = words.partition(" ")
        group = hasattr(known.get(first), "list_commands")
        if first not in known or (group and second and second.islower() and words not in known):
            missing.add(f"{where}: sotto {words}")
    assert not missing


def test_targets_of_commands_exist():
    from sotto.bench.reproduction.targets import TARGETS

    missing = set()
    for where, text in texts():
        for token in quoted(text):
            if (match := re.match(r"sotto reproduce ([a-z][\w-]*)", token)) and match[1] not in (*TARGETS, "all"):
                missing.add(f"{where}: {token}")
    assert not missing


def test_options_exist():
    missing = set()
    for where, text in texts():
        for token in quoted(text):
            ours = token.startswith("--") or token.startswith("sotto ")
            for option in re.findall(r"(?<!\S)--[a-z][\w-]*", token) if ours else ():
                if option not in options() | _PIPS:
                    missing.add(f"{where}: {option}")
    assert not missing


def test_environment_variables_exist():
    settings = {
        f"SOTTO_{name.upper()}_{parameter.name.upper()}"
        for name in ("bob", "alice", "dealer")
        for parameter in commands()[name].params
    }
    read = [*strings(), *(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))]
    said = {word for text in read for word in _VARIABLE.findall(text)}
    missing = {
        f"{where}: {name}"
        for where, text in texts()
        for name in _VARIABLE.findall(text)
        if name not in settings | said and not any(each.startswith(f"{name}_") for each in settings)
    }
    assert not missing


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("link.Link", True),
        ("link.nothing", False),
        ("sotto.link.identity.Identity.name", True),
        ("sotto.link.identity.Identity.nothing", False),
        ("sotto.link.identity.nothing.at.all", False),
    ],
)
def test_a_name_that_does_not_exist_would_be_found(name, there):
    assert exists(name) is there
