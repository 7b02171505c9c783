"""The secret keys, the transform that they stand for, and the models that are encrypted to match it."""
