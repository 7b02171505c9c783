"""Parties as processes, driven query by query."""
