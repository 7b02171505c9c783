import pytest

from sotto.bench.papers.niwa.sounds.block_loop import encrypt_in_a_loop


@pytest.fixture(scope="session")
def block_loop():
    """The papers' own way of encrypting, as the reference that the fast transform is held against."""
    return encrypt_in_a_loop
