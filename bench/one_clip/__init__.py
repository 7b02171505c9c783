"""One clip at a time instead of a test set: answered with every message laid open, or while a party cheats."""
