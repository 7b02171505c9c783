"""Classifying hashes: kernel, support vector machine, training hashes."""
