"""What each party is handed: one folder for Bob, one for Alice, one for the dealer, nothing of one in another's.

    bob/      bob.toml, model.safetensors, for ``mpc`` lowered.safetensors (the same network, ready for the protocol),
              and for ``he`` calibration.safetensors (training features, which are Bob's)
    alice/    alice.toml, terms.json, and where the paradigm has them key, sensor.safetensors, front.json
    dealer/   dealer.toml                                                             (only where there is a dealer)

``sotto prepare`` writes them; a model file by itself is enough for Bob where nothing else is needed.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from sotto.serving.errors import AdapterError
from sotto.serving.terms import FRONT_FILE, FrontEnd, read_front

MODEL_FILE, LOWERED_FILE, CALIBRATION_FILE, KEY_FILE, SENSOR_FILE = (
    "model.safetensors",
    "lowered.safetensors",
    "calibration.safetensors",
    "key",
    "sensor.safetensors",
)
_MOST_CALIBRATION = 1 << 26  # numbers
_MOST_AXES = 5


def model_file(model: Path) -> Path:
    """The model file that MODEL names: itself, or the one in a folder.  Raises :class:`AdapterError`."""
    path = model / MODEL_FILE if model.is_dir() else model
    if not path.is_file():
        raise AdapterError("no-model", f"{path}: no such model file; 'sotto prepare' makes one")
    return path


def calibration_beside(path: Path) -> npt.NDArray[np.float32] | None:
    r"""The calibration features (n, \*shape) float32 beside a model file, None where there are none."""
    calibration = path.parent / CALIBRATION_FILE
    if not calibration.is_file():
        return None
    try:
        with safe_open(calibration, framework="np") as file:
            part: Any = file.get_slice("features")
            shape, dtype = tuple(part.get_shape()), part.get_dtype()
            if not 2 <= len(shape) <= _MOST_AXES or dtype != "F32" or math.prod(shape) > _MOST_CALIBRATION:
                raise AdapterError(
                    "no-calibration", f"{calibration}: holds no calibration features (n, *shape) float32"
                )
            found: npt.NDArray[np.float32] = file.get_tensor("features")
            return found
    except (SafetensorError, OSError, KeyError):
        raise AdapterError(
            "bad-calibration", f"{calibration}: is no readable safetensors file with features: prepare it again"
        ) from None


def write_calibration(folder: Path, features: npt.NDArray[np.float32]) -> None:
    r"""Write calibration features (n, \*shape) for Bob."""
    save_file({"features": np.ascontiguousarray(features, np.float32)}, folder / CALIBRATION_FILE)


def own_file(folder: Path | None, name: str, what: str) -> Path:
    """A file of Alice's own folder.  Raises :class:`AdapterError` when it is not there."""
    if folder is None:
        raise AdapterError(
            "own-needed",
            f"alice needs {what}, which 'sotto prepare' wrote into the folder alice: give that folder with --own",
        )
    path = folder / name
    if not path.is_file():
        raise AdapterError(
            "own-missing", f"{path}: {what} is not there; get the folder from whoever prepared the model"
        )
    return path


def own_front(folder: Path | None) -> FrontEnd:
    """Alice's own front end.  Raises :class:`AdapterError` when it is not there."""
    found = read_front(own_file(folder, FRONT_FILE, "the front end").parent)
    if found is None:
        raise AdapterError("no-front-end", f"{folder}: the front end is gone")
    return found
