"""CrypTen 0.4.1 on current PyTorch: the one place that imports CrypTen.

CrypTen imports its ONNX converter eagerly, and the converter imports ``torch.onnx._internal.registration``,
which torch has moved.  This project never converts through ONNX (see :mod:`sotto.mpc.lowering.capture`), so the moved
module is lent its old name while CrypTen is being imported and the name is taken back afterwards.  Where torch still
has the old name, or CrypTen was imported before, nothing is touched.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import Any

from sotto.mpc.errors import CryptenMissing

VERSION = "0.4.1"
INSTALL = f"pip install 'sotto[mpc]' && pip install --no-deps crypten=={VERSION}"

_OLD_NAME = "torch.onnx._internal.registration"
_NEW_NAME = "torch.onnx._internal.torchscript_exporter.registration"


def require_installed() -> None:
    """Raise :class:`CryptenMissing` unless the right CrypTen is there; nothing is imported."""
    try:
        found = metadata.version("crypten")
    except metadata.PackageNotFoundError:
        raise CryptenMissing("not-installed", f"mode 'crypten' needs CrypTen: run {INSTALL}") from None
    if found != VERSION:
        raise CryptenMissing("wrong-version", f"CrypTen {found} is installed, {VERSION} is needed: run {INSTALL}")


def load_crypten() -> Any:
    """The ``crypten`` package, imported.  Raises :class:`CryptenMissing` with one line that says what to run."""
    try:
        with _old_torch_names():
            crypten = importlib.import_module("crypten")
    except ImportError as error:
        raise CryptenMissing(
            "not-installed", f"the mpc paradigm needs CrypTen ({_first_line(error)}): run {INSTALL}"
        ) from error
    if crypten.__version__ != VERSION:
        raise CryptenMissing(
            "wrong-version", f"CrypTen {crypten.__version__} is installed, {VERSION} is needed: run {INSTALL}"
        )
    return crypten


@contextlib.contextmanager
def _old_torch_names() -> Iterator[None]:
    """Lend torch's moved module its old name for the time of an import that asks for it."""
    if "crypten" in sys.modules or _exists(_OLD_NAME) or not _exists(_NEW_NAME):
        yield
        return
    sys.modules[_OLD_NAME] = importlib.import_module(_NEW_NAME)
    try:
        yield
    finally:
        del sys.modules[_OLD_NAME]


def _exists(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
