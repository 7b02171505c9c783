"""Luong, Tran, Gharib, Drossos, Virtanen: RDAL-M, source separation and robust adversarial representation learning."""

from __future__ import annotations

from bench.claims.claim import Item, Paper

PAPER = Paper(
    "luong",
    "Diep Luong, Minh Tran, Shayan Gharib, Konstantinos Drossos, Tuomas Virtanen",
    "Representation learning for audio privacy preservation using source separation and robust adversarial learning",
)
ITEMS: tuple[Item, ...] = ()
