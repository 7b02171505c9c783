"""What a process keeps of the memory that it frees."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

_ROUNDS = """
import resource
import numpy as np
from sotto.mpc.protocols import memory
{first}
for _ in range(4):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 20, np.uint8) for _ in range(50)]
    del arrays
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(first, **environment):
    code = _ROUNDS.format(first=first)
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60, check=True
    )
    return int(run.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="another C library than glibc")
def test_freed_memory_is_used_again_without_asking_the_system():
    pages = (50 << 20) // 4096
    assert _faults("") > pages / 2
    assert _faults("memory.keep_freed()") < pages / 20
    assert _faults("memory.keep_freed()", MALLOC_TRIM_THRESHOLD_="65536") > pages / 2
