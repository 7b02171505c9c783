"""A user's own network or examples, in every paradigm that runs them."""
