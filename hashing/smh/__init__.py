"""Secure Modular Hashing itself: key, hash, packing, distances, and what they leak."""
