"""Choosing parameters: ranges, noise, overflow, precision, flooding."""
