"""Secret shares: the ring, wide words, authenticated shares, commitments."""
