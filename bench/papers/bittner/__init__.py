"""Bittner, De Cock, Dowsley: latency and correctness of private speech classification."""
