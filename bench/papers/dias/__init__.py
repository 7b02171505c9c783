"""Dias, Abad, Trancoso: Secure Modular Hashing and the cryptonet."""
