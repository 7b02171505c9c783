"""One task in a worker: its study at its point of the grid, on a corpus the worker opens once and keeps.

Tasks and rows travel as JSON text, whatever carries them.
"""

from __future__ import annotations

import time
from functools import lru_cache
from pathlib import Path

import msgspec
import threadpoolctl

from sotto.bench.rows.row import Row
from sotto.bench.suite import open_workbench
from sotto.bench.sweeps.plan import Setting, Task, corpus_digest
from sotto.bench.sweeps.source import source_digest
from sotto.bench.sweeps.studies import STUDIES
from sotto.bench.sweeps.studies.axes import SweepError
from sotto.bench.workbench import Workbench


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker hands back: a row, or one line that says why there is none; and the seconds it worked."""

    address: str
    seconds: float
    row: Row | None
    fault: str | None = None


def work(task: str) -> str:
    """Run the task written in JSON and return its :class:`Result` in JSON.  One thread: workers share a machine."""
    import torch

    started = time.perf_counter()
    asked = msgspec.json.decode(task, type=Task)
    torch.set_num_threads(1)
    row, fault = None, None
    try:
        with threadpoolctl.threadpool_limits(1):
            row = STUDIES[asked.setting.study].run(_bench(asked.setting), asked.parameters)
    except (ValueError, RuntimeError, OSError) as error:
        fault = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
    result = Result(asked.address, time.perf_counter() - started, row, fault)
    return msgspec.json.encode(result).decode()


@lru_cache(maxsize=2)
def _bench(setting: Setting) -> Workbench:
    """The corpus as this worker finds it, which must be the one that the sweep means, under the same code."""
    study = STUDIES[setting.study]
    if source_digest(study.MODULES) != setting.source_digest:
        raise SweepError(
            "other-code", "this worker runs other code than the sweep: install the same version and start it again"
        )
    data = None if setting.data is None else Path(setting.data)
    bench = open_workbench(
        setting.corpus, data, preset=setting.preset, seed=setting.seed, say=_quiet, skip_broken=setting.skip_broken
    )
    bench.jobs = 1
    if corpus_digest(bench.corpus) != setting.corpus_digest:
        raise SweepError(
            "other-corpus", f"this worker finds another {setting.corpus} than the sweep at {data or 'its usual place'}"
        )
    return bench


def _quiet(line: str) -> None:
    """A worker's progress is the sweep's."""
