"""What the papers say, and whether it holds here: one item for each table, figure and headline figure.

An item names the reproduction that measures it, says where corpus or split differ from the paper's, and judges the
rows.  A judgement is computed from figures in the rows, which its sentence repeats; nothing is judged by hand.
``sotto reproduce all`` runs every reproduction and writes the report.
"""

from __future__ import annotations

from collections.abc import Mapping

from sotto.bench.claims.claim import Item, Judgement, Paper, Verdict
from sotto.bench.papers.bittner import claims as bittner
from sotto.bench.papers.dias import claims as dias
from sotto.bench.papers.luong import claims as luong
from sotto.bench.papers.niwa import claims as niwa

PAPERS: Mapping[str, Paper] = {module.PAPER.key: module.PAPER for module in (bittner, dias, niwa, luong)}
ITEMS: tuple[Item, ...] = (*bittner.ITEMS, *dias.ITEMS, *niwa.ITEMS, *luong.ITEMS)

__all__ = ["ITEMS", "PAPERS", "Item", "Judgement", "Paper", "Verdict"]
