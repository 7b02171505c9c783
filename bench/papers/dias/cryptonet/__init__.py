"""The cryptonet (§5 of the paper)."""
