"""Gates on shares: what correlated randomness each takes, how it is made of transfers, and what crosses the link."""
