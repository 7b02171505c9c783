"""Reproductions of the papers' tables and figures, and what became of their claims."""
