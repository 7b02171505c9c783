"""What a figure was measured with: the versions of the software and the machine, written into every row."""

from __future__ import annotations

import contextlib
import os
import platform
from functools import cache
from importlib import metadata

import psutil

_PACKAGES = ("sotto", "torch", "crypten", "tenseal", "scikit-learn", "numpy", "opensmile", "librosa")


@cache
def software() -> dict[str, str]:
    """Versions of Python and of the packages whose release can change a figure; only what is installed."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def machine() -> dict[str, str | int | None]:
    """Processor, cores and memory; nothing that names the machine or its owner."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
        "threads_per_party": 1,
    }


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
        for line in file:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"
