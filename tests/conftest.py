"""How the tests run: property tests without deadlines and repeatably in continuous integration, processes warm.

Nothing here asserts a time.  One thread each: tests run side by side, as the parties in them do, and more would only
wait for one another.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from sotto.serving.service.processes import THREAD_VARIABLES, warm_up
from tests.scripts import WARM

settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "here")
os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))


@pytest.fixture(scope="session", autouse=True)
def fork_server():
    """What scripts take seconds to import is imported once, in the server from which they are forked."""
    warm_up(WARM)
