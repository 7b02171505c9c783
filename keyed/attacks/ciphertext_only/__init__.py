"""Attacks of who has encrypted speech and any plain speech, and nothing else: moments, signs, order, rotation."""
