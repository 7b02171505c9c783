"""Measuring every paradigm alike: rows of one table, attacks, sweeps, and the papers' own results made again."""
