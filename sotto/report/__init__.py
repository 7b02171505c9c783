"""The report: what was measured, as one page; and what each party saw of one clip."""

from sotto.report.page import render, write

__all__ = ["render", "write"]
