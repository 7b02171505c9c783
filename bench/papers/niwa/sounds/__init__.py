"""Sounds and pictures of the secret-key transforms, and the papers' own loops and attacks."""
