"""The dealer: what it serves, and what it has in stock."""
