"""What rows and simulations of mpc say of what they were asked with."""

import pytest

from sotto.mpc.experiment import SECURITY, security_of


@pytest.mark.parametrize("mode", list(SECURITY))
def test_what_alice_learns_beyond_the_class_is_said(mode):
    assert security_of(mode, "class", public=False) == SECURITY[mode]
    for reveal in ("logits", "values"):
        leaks = security_of(mode, reveal, public=False).leaks
        assert "to Alice every score" in leaks
        assert "the class" not in leaks
    assert security_of(mode, "class", public=True).leaks.startswith("to Alice Bob's weights; ")
