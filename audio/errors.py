"""What can go wrong with a corpus. Every message is one line, names the file and says what to do."""

from __future__ import annotations

from sotto.link import Coded


class CorpusError(Coded, ValueError):
    """A corpus cannot be used as asked. The message is one line, fit for a terminal."""


class WrongFolder(CorpusError):
    """The folder does not exist or does not hold the corpus."""


class BrokenClip(CorpusError):
    """An audio file is missing, empty, truncated or cannot be decoded."""


class MissingLabel(CorpusError):
    """A clip has no such label, or its file name or table row does not carry one."""


class SplitError(CorpusError):
    """The corpus cannot be divided as asked, for instance because it has too few speakers."""
