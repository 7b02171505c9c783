"""Secure Modular Hashing (§3 and §4 of the paper)."""
