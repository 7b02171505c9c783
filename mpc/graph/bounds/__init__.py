"""What the rounding of a step can add to a result, proven by intervals before a model is served."""
