"""Niwa, Shiota, Kiya: secret-key transforms of speech."""
