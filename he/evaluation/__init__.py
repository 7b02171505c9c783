"""Evaluating on ciphertexts: three evaluators, their ciphertexts and keys."""
