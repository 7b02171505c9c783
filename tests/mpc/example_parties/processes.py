"""Parties as processes of their own, which find the networks and one another."""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
_FOLDERS = (HERE.parents[2], HERE.parent / "example_networks", HERE)
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, _FOLDERS)), "OMP_NUM_THREADS": "1"}


def started(script, *arguments, **options):
    """A running ``script``, of this folder or by its whole path; ``options`` as of :class:`subprocess.Popen`."""
    command = [sys.executable, str(HERE / script), *map(str, arguments)]
    return subprocess.Popen(command, text=True, env=ENVIRONMENT, **options)
