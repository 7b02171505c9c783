"""Real processes for the tests of mpc; Alice lives in the test's own process."""

import sys
from pathlib import Path

import pytest
import torch

from tests.scripts import Script

HERE = Path(__file__).parent
sys.path[:0] = map(str, (HERE, HERE / "example_networks", HERE / "example_parties"))  # for the children too
torch.set_num_threads(1)  # two parties on one machine: more threads only wait for one another


class Child:
    """A dealer or Bob in a process of its own."""

    def __init__(self, *arguments):
        self.process = Script(HERE / "example_parties" / "party.py", *arguments)

    def ports(self):
        """The ports it prints first."""
        return [int(port) for port in self.process.stdout.readline().split()]

    def kill(self):
        self.process.kill()
        self.process.wait()

    def ending(self):
        """Exit code and last line of standard error, once it has ended of itself."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, (errors.strip().splitlines() or [""])[-1]


@pytest.fixture(scope="module")
def child():
    """Starts children and ends those that are left."""
    started = []

    def start(*arguments):
        started.append(Child(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.kill()
