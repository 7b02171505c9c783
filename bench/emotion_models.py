"""Trained emotion models for the paradigms: which features they take, how they are trained, the plaintext answer."""
