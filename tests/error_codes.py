"""Errors by their codes: a line for people may be worded better, a code stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from sotto.link import Coded


@contextmanager
def raises_code(
    kind: type[Coded], code: str | tuple[str, ...], match: str | None = None
) -> Iterator[pytest.ExceptionInfo[Coded]]:
    """As :func:`pytest.raises`, for an error of that ``code``, or of one of several.

    ``match`` is for what its line tells of one case.
    """
    __tracebackhide__ = True
    with pytest.raises(kind, match=match) as caught:
        yield caught
    assert caught.value.code in ((code,) if isinstance(code, str) else code), f"{code} was expected: {caught.value!r}"
